// Runs the examples' tests, all or those of the folders that are named: `npm test htmx turbo`.

import { endAll, needs } from './harness.mjs';

/** How long one test may take, in milliseconds: what waits for ever is a failure too. */
const PATIENCE_MS = 120_000;

const FOLDERS = ['eventsource', 'htmx', 'turbo', 'datastar', 'usechat', 'polyfills'];

const tools = await needs();
const asked = process.argv.slice(2);
let failed = 0;
let passed = 0;
for (const name of asked.length > 0 ? asked : FOLDERS) {
  const { default: tests } = await import(`./${name}/test.mjs`);
  for (const [what, test] of Object.entries(tests)) {
    try {
      await withinPatience(test(tools));
      passed += 1;
      console.log(`ok      ${name}: ${what}`);
    } catch (error) {
      failed += 1;
      console.error(`FAILED  ${name}: ${what}\n${error.stack}`);
    } finally {
      await endAll();
    }
  }
}
function withinPatience(run) {
  let timer;
  const late = new Promise((_, reject) => {
    const error = new Error(`not over after ${PATIENCE_MS / 1_000} s`);
    timer = setTimeout(() => reject(error), PATIENCE_MS);
  });
  return Promise.race([run, late]).finally(() => clearTimeout(timer));
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
