// How the pages are built: two entries that share what is below `src`, everything below `/_/`, and
// nothing inline, because the pages' Content-Security-Policy allows none.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const clients = (path: string) => here(`../clients/typescript/${path}`);

/** Empties `dist` but for the hidden file that keeps the folder in the repository. */
function emptyDist(): Plugin {
  return {
    name: 'empty-dist',
    apply: 'build',
    buildStart() {
      const dist = here('dist');
      for (const name of existsSync(dist) ? readdirSync(dist) : []) {
        if (!name.startsWith('.')) rmSync(`${dist}/${name}`, { recursive: true });
      }
    },
  };
}

const entries = ['demo', 'dashboard']
  .map((name) => [name, here(`${name}/index.html`)] as const)
  .filter(([, path]) => existsSync(path));

const server = process.env['TIDINGS_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: '/_/',
  plugins: [emptyDist(), react(), tailwindcss()],
  resolve: {
    // The clients are used as they are in the repository, without building them first.
    alias: [
      { find: /^@tidings\/client$/, replacement: clients('core/src/index.ts') },
      { find: /^@tidings\/client\/(.*)$/, replacement: clients('core/src/$1.ts') },
      { find: /^@tidings\/react$/, replacement: clients('react/src/index.ts') },
      { find: /^@tidings\/ai$/, replacement: clients('ai/src/index.ts') },
      { find: /^@tidings\/ai\/answer$/, replacement: clients('ai/src/answer/index.ts') },
    ],
    dedupe: ['react', 'react-dom'],
  },
  build: {
    outDir: 'dist',
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    rollupOptions: { input: Object.fromEntries(entries) },
  },
  server: {
    // `npx vite` beside a running `tidings dev`: pages from here, everything else from there.
    proxy: Object.fromEntries(
      [
        'topics',
        'events',
        'publish',
        'push',
        'connections',
        'schedules',
        'answers',
        'traces',
        'configuration',
        'v1',
        'ws',
        'metrics',
      ].map((path) => [`/${path}`, { target: server, ws: path === 'ws' }]),
    ),
  },
});
