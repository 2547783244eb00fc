import { defineConfig } from 'vite';

// What a reverse proxy does in production: the page and the stream share an origin.
export default defineConfig({
  esbuild: { jsx: 'automatic' },
  server: { proxy: { '/stream': 'http://127.0.0.1:8080' } },
});
