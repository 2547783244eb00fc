// Durations and sizes as they are written by hand: `1h30m`, `500MB`. Read back what it writes.

const MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

const BYTES: Record<string, number> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Milliseconds of a duration of whole units; undefined if it is none. */
export function readDuration(text: string): number | undefined {
  const trimmed = text.replaceAll(' ', '');
  if (!/^(\d+(ms|[dhms]))+$/.test(trimmed)) return undefined;
  let sum = 0;
  for (const [, count, unit] of trimmed.matchAll(/(\d+)(ms|[dhms])/g)) {
    sum += Number(count) * MS[unit as keyof typeof MS];
  }
  return sum;
}

/** The duration as text, without loss. */
export function writeDuration(ms: number): string {
  let left = ms;
  let text = '';
  for (const [unit, size] of Object.entries(MS)) {
    const count = Math.floor(left / size);
    if (count > 0) text += `${count}${unit}`;
    left -= count * size;
  }
  return text || '0s';
}

/** Bytes of a size; undefined if it is none. */
export function readBytes(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = BYTES[found?.[2]?.toLowerCase() ?? '-'];
  return found && unit ? Math.round(Number(found[1]) * unit) : undefined;
}

/** The size as text, without loss. */
export function writeBytes(bytes: number): string {
  const units: [string, number][] = [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ];
  const unit = units.find(([, size]) => bytes >= size && bytes % size === 0);
  return unit ? `${bytes / unit[1]}${unit[0]}` : String(bytes);
}
