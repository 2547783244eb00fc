// What the tests of the pages stand on: a server and a browser for the tests of one file, visits in
// which nothing may go wrong unnoticed, and how pages are examined.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after } from 'node:test';
import { PATIENCE_MS, openBrowser, openContext, startServer } from './harness.mjs';

/** Presses of Tab after which the keyboard is held not to get there. */
const PRESSES_MAX = 80;

/**
 * A server (see `startServer` for its options) and a browser, ended after the tests of this file.
 * `visit(options, run, expected)` opens a page in a context of its own, runs the story, and fails
 * for whatever went wrong in the browser, unless `expected` (a pattern) matches it.
 */
export async function world(options) {
  const server = await startServer(options);
  after(() => server.close());
  const browser = await openBrowser();
  after(() => browser.close());
  const visit = async (options, run, expected) => {
    const { context, faults } = await openContext(browser, server, options);
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      await run(page, context);
      assert.deepEqual(
        faults.filter((fault) => !expected?.test(fault)),
        [],
      );
    } finally {
      await context.close();
    }
  };
  return { server, browser, visit };
}

/** Waits until something holds, and returns what it was then. */
export async function until(what, holds) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await holds();
    if (value) return value;
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The number that a figure shows. */
export async function figure(page, id) {
  const text = await page.locator(`[data-figure="${id}"]`).first().textContent();
  return Number(text.replace(/[^\d.-]/g, ''));
}

/** What a context needs for `examine`: a page's policy allows no script of anybody else. */
export const examined = { reducedMotion: 'reduce', bypassCSP: true };

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Fails for each fault that axe finds. */
export async function examine(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const found = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(' | ')}`,
  );
  assert.deepEqual(found, []);
}

/** Presses Tab until the focus is where it is wanted. */
export async function reach(page, wanted) {
  for (let presses = 0; presses < PRESSES_MAX; presses += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate(() => {
      const { activeElement: at } = document;
      return {
        tag: at.tagName,
        text: at.textContent.trim(),
        label: at.getAttribute('aria-label'),
        role: at.getAttribute('role'),
      };
    });
    if (wanted(focus)) return;
  }
  assert.fail('the keyboard does not get there');
}

/** Fails if what has the focus does not show it. */
export async function showsFocus(page) {
  const outline = () => getComputedStyle(document.activeElement).outlineStyle;
  assert.notEqual(await page.evaluate(outline), 'none');
}

/** The narrowest phone. */
export const phone = { width: 360, height: 740 };

/** What can be pressed or filled in and is cut off by what it stands in. */
const cutOff = () =>
  [...document.querySelectorAll('button, a, input, textarea')]
    .filter((element) => {
      const { right } = element.getBoundingClientRect();
      for (let at = element.parentElement; at; at = at.parentElement) {
        const { overflowX } = getComputedStyle(at);
        if (overflowX === 'auto' || overflowX === 'scroll') return false;
        if (overflowX !== 'visible') return right > at.getBoundingClientRect().right;
      }
      return false;
    })
    .map((element) => element.outerHTML.slice(0, 120));

/** Fails where a page is wider than the phone, or something on it is cut off. */
export async function fits(page) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= phone.width, `${wide} px wide`);
  assert.deepEqual(await page.evaluate(cutOff), []);
}
