export function Landing() {
  return <p className="p-8">…</p>;
}
