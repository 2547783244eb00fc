import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // What a busy machine lets down passes the next time; a fault of ours fails again.
    retry: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
