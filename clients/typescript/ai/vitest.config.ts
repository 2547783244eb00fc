import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const core = fileURLToPath(new URL('../core/src/', import.meta.url));

export default defineConfig({
  resolve: { alias: [{ find: /^@tidings\/client\/(.*)$/, replacement: `${core}$1.ts` }] },
  test: { include: ['test/**/*.test.{ts,tsx}'], testTimeout: 60_000, hookTimeout: 30_000 },
});
