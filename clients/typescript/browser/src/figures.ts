// Figures that tests come by: printed, and kept for `npm run figures` if it asks for them.

import { appendFileSync } from 'node:fs';

/** Notes a figure; `TIDINGS_FIGURES` names the file. */
export function figure(what: string, value: number, unit: string): void {
  const file = process.env['TIDINGS_FIGURES'];
  const digits = Number.isInteger(value) ? 0 : 1;
  const line = `${what}: ${value.toFixed(digits)} ${unit}`;
  if (file !== undefined) appendFileSync(file, `${line}\n`);
  else console.info(line);
}
