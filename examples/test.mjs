// Runs the examples' tests, all or those of the folders that are named: `npm test htmx turbo`.

import { endAll, needs } from './harness.mjs';

const FOLDERS = ['eventsource', 'htmx', 'turbo', 'datastar', 'usechat', 'polyfills'];

const tools = await needs();
const asked = process.argv.slice(2);
let failed = 0;
let passed = 0;
for (const name of asked.length > 0 ? asked : FOLDERS) {
  const { default: tests } = await import(`./${name}/test.mjs`);
  for (const [what, test] of Object.entries(tests)) {
    try {
      await test(tools);
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
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
