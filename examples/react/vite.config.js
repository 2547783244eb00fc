import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// What a reverse proxy does in production: the page and the stream share an origin.
const proxy = { '/stream': process.env.TIDINGS_URL ?? 'http://127.0.0.1:8080' };

export default defineConfig({
  plugins: [react()],
  server: { proxy },
  preview: { proxy },
});
