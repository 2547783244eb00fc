// Pictures of every page, light and dark, on a desk and on a phone, to be looked at.
//
//   node shots.mjs [--out FOLDER] [--only chat,dash-topics] [--languages en,zh]
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { scenes } from './tests/scenes.mjs';
import { openBrowser, openContext, startServer } from './tests/harness.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'shots' },
    only: { type: 'string' },
    languages: { type: 'string', default: 'en,zh' },
    themes: { type: 'string', default: 'light,dark' },
    sizes: { type: 'string', default: 'desk,phone' },
    full: { type: 'boolean', default: false },
  },
});

const sizes = {
  desk: { width: 1280, height: 900 },
  phone: { width: 360, height: 780 },
  wide: { width: 1760, height: 1000 },
};
const only = values.only?.split(',');

mkdirSync(values.out, { recursive: true });
const server = await startServer();
const browser = await openBrowser();
try {
  for (const [name, scene] of Object.entries(scenes)) {
    if (only && !only.includes(name)) continue;
    for (const language of values.languages.split(',')) {
      for (const theme of values.themes.split(',')) {
        for (const size of values.sizes.split(',')) {
          const { context, faults } = await openContext(browser, server, {
            viewport: sizes[size],
            colorScheme: theme,
            locale: language === 'zh' ? 'zh-TW' : 'en-US',
            deviceScaleFactor: size === 'phone' ? 2 : 1,
          });
          const page = await context.newPage();
          await scene(page, language, server);
          const file = `${name}-${language}-${theme}-${size}.png`;
          await page.screenshot({ path: join(values.out, file), fullPage: values.full });
          await context.close();
          console.log(file, faults.length ? `FAULTS: ${faults.join(' | ')}` : '');
        }
      }
    }
  }
} finally {
  await browser.close();
  await server.close();
}
