import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const core = fileURLToPath(new URL('../core/src/', import.meta.url));
const ai = fileURLToPath(new URL('../ai/src/', import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@tidings\/client$/, replacement: `${core}index.ts` },
      { find: /^@tidings\/client\/(.*)$/, replacement: `${core}$1.ts` },
      { find: /^@tidings\/ai\/answer$/, replacement: `${ai}answer/index.ts` },
    ],
  },
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    setupFiles: [fileURLToPath(new URL('test/support/setup.ts', import.meta.url))],
    environment: 'jsdom',
    // What a busy machine lets down passes the next time; a fault of ours fails again.
    retry: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
