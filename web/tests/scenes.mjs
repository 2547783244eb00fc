// Each page in a state worth a picture: something has happened on it.
import { PATIENCE_MS } from './harness.mjs';

const patient = { timeout: PATIENCE_MS };

export const scenes = {
  async landing(page) {
    await page.goto('/');
    await page.waitForTimeout(4_500);
    await page.locator('ol ~ div button').last().click();
    await page.waitForTimeout(3_500);
  },
  async chat(page, language) {
    await page.goto('/demo/chat');
    const ask =
      language === 'zh' ? '一個回答怎麼撐過隧道？' : 'How can an answer survive a tunnel?';
    await page.getByRole('button', { name: ask }).click(patient);
    await page.waitForTimeout(2_500);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(6_500);
  },
  async prices(page) {
    await page.goto('/demo/prices');
    await page.getByRole('slider').first().fill('5');
    await page.waitForTimeout(7_000);
  },
  async rooms(page) {
    await page.goto('/demo/rooms');
    await page.waitForTimeout(6_000);
    await page.getByRole('textbox').fill('Hello, everybody');
    await page.keyboard.press('Enter');
    await page.waitForTimeout(2_000);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(2_000);
    await page.getByRole('textbox').fill('I am in the tunnel now');
    await page.keyboard.press('Enter');
    await page.waitForTimeout(7_500);
  },
  async document(page) {
    await page.goto('/demo/document');
    await page.waitForTimeout(12_000);
    await page.locator('form button[type=submit]').click();
    await page.waitForTimeout(300);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(15_000);
  },
  async compare(page) {
    await page.goto('/demo/compare');
    await page.waitForTimeout(5_000);
    await page.locator('button.bg-cut:visible').first().click();
    await page.waitForTimeout(7_000);
  },
};
