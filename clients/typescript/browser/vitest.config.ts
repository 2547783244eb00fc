import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // One browser and one server at a time: the tests share the machine with what they test.
    fileParallelism: false,
    // A tab that gets no processor for seconds is not what is tested here; a fault that is ours fails
    // three times.
    retry: 2,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
