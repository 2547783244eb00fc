import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const core = fileURLToPath(new URL('../core/src/', import.meta.url));

export default defineConfig({
  resolve: { alias: [{ find: /^@tidings\/client\/(.*)$/, replacement: `${core}$1.ts` }] },
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    // What a busy machine lets down passes the next time; a fault of ours fails again.
    retry: 1,
    testTimeout: 60_000,
    hookTimeout: 30_000,
  },
});
