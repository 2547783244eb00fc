// What a test needs, put together: server, proxy, site, browser context and publisher.
//
// Promises: everything is ended when the test is over, also when it failed; each test has a browser
// context of its own, so that no tab of another test shares its locks and channels.

import { afterAll, beforeAll, onTestFinished } from 'vitest';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { Wish } from '../page/page.ts';
import { launch } from './chromium.ts';
import { Proxy } from './proxy.ts';
import { Publisher, fault, type Seen } from './publisher.ts';
import { Server } from './server.ts';
import { site, type Site } from './site.ts';
import { Ends, until } from './wait.ts';

/** One browser and one site for all tests of a file. */
export class House {
  #browser: Browser | undefined;
  #site: Site | undefined;

  /** `page` is what tabs show, `args` are flags of the browser. */
  constructor(
    readonly page = 'page',
    ...args: string[]
  ) {
    beforeAll(async () => {
      this.#site = await site(page);
      this.#browser = await launch(...args);
    });
    afterAll(async () => {
      await this.#browser?.close();
      await this.#site?.end();
    });
  }

  get browser(): Browser {
    if (this.#browser === undefined) throw new Error('no browser');
    return this.#browser;
  }

  get site(): Site {
    if (this.#site === undefined) throw new Error('no site');
    return this.#site;
  }

  /** A world for the test that is running; `options` as {@link Server.begin} has them. */
  async world(...options: string[]): Promise<World> {
    const ends = new Ends();
    onTestFinished(() => ends.run(), 60_000);
    const server = await Server.begin(...options);
    ends.add(() => server.end());
    const proxy = await Proxy.begin(server.port);
    ends.add(() => proxy.end());
    const context = await this.browser.newContext();
    ends.add(() => context.close());
    return new World(server, proxy, this.site, this.page, context, ends);
  }
}

export class World {
  readonly publisher: Publisher;
  readonly tabs: Tab[] = [];

  constructor(
    readonly server: Server,
    readonly proxy: Proxy,
    readonly site: Site,
    readonly page: string,
    readonly context: BrowserContext,
    readonly ends: Ends,
  ) {
    this.publisher = new Publisher(server.url);
    ends.add(() => this.publisher.rest());
  }

  /** Opens a tab. */
  async tab(context = this.context): Promise<Tab> {
    const page = await context.newPage();
    const tab = new Tab(page, this.proxy.url);
    page.on('pageerror', (error) => tab.errors.push(String(error)));
    await page.goto(`${this.site.url}/${this.page}`);
    this.tabs.push(tab);
    return tab;
  }

  /** Opens tabs that follow the same topics and share, and waits until all are there. */
  async tabsFollowing(count: number, topics: string[], wish: Partial<Wish> = {}): Promise<Tab[]> {
    const tabs: Tab[] = [];
    for (let index = 0; index < count; index += 1) tabs.push(await this.tab());
    const all = { share: true, history: 'all' as const, ...wish };
    await Promise.all(tabs.map((tab) => tab.follow('all', topics, all)));
    await this.publisher.publish(topics);
    for (const tab of tabs) {
      await until('every tab has the first event', async () => {
        return (await tab.page.evaluate(() => window.tab.count('all'))) >= topics.length;
      });
    }
    return tabs;
  }

  /** Waits until the tab has as many events as were published, and says what is wrong with them. */
  async whole(tab: Tab, topics: string[], name = 'all'): Promise<string | undefined> {
    const published = topics.map((topic) => this.publisher.counts.get(topic) ?? 0);
    const total = published.reduce((sum, count) => sum + count, 0);
    try {
      await until('all that was published', async () => {
        return (await tab.page.evaluate((of) => window.tab.count(of), name)) >= total;
      });
    } catch {
      const about = JSON.stringify(await tab.about(name));
      return `${total} were published: ${about}; ${await tab.fault(topics, this, name)}`;
    }
    return await tab.fault(topics, this, name);
  }

  /** The tab that leads; waits until there is exactly one. */
  async leader(tabs = this.tabs): Promise<Tab> {
    return await until('one leader', async () => {
      const roles = await Promise.all(tabs.map(async (tab) => (await tab.about('all')).shared));
      const leaders = tabs.filter((_, index) => roles[index] === 'leader');
      return leaders.length === 1 ? leaders[0] : undefined;
    });
  }
}

/** One tab. */
export class Tab {
  readonly errors: string[] = [];

  constructor(
    readonly page: Page,
    readonly url: string,
  ) {}

  async follow(name: string, topics: string[], wish: Partial<Wish> = {}): Promise<void> {
    const all: Wish = { url: this.url, topics, ...wish };
    await this.page.evaluate(([as, what]) => window.tab.follow(as, what), [name, all] as const);
  }

  async about(name = 'all') {
    return await this.page.evaluate((of) => window.tab.about(of), name);
  }

  async seen(name = 'all'): Promise<Seen[]> {
    return await this.page.evaluate((of) => window.tab.seen(of), name);
  }

  /** What is wrong with what it has seen of these topics, from their first event on. */
  async fault(topics: string[], world: World, name = 'all'): Promise<string | undefined> {
    const seen = await this.seen(name);
    for (const topic of topics) {
      const wrong = fault(seen, topic, 0, world.publisher.counts.get(topic) ?? 0);
      if (wrong !== undefined) return wrong;
    }
    const foreign = seen.find(({ topic }) => !topics.includes(topic));
    if (foreign !== undefined) return `an event of ${foreign.topic}, which is not followed`;
    return this.errors[0];
  }
}
