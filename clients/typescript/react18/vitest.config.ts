import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig } from 'vitest/config';
import base from '../react/vitest.config.js';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The tests of @tidings/react, with this folder's React. */
export default mergeConfig(
  base,
  defineConfig({
    resolve: {
      alias: [
        { find: /^react($|\/)/, replacement: `${at('node_modules/react')}$1` },
        { find: /^react-dom($|\/)/, replacement: `${at('node_modules/react-dom')}$1` },
      ],
    },
    test: {
      root: at('../react'),
      env: { REACT_MAJOR: '18' },
      server: { deps: { inline: [/react/] } },
    },
  }),
);
