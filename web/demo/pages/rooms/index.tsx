export default function Page() { return <p className="p-8">…</p>; }
