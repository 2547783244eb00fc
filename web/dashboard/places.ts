// The pages of the dashboard, and how an address names them: `#/topics/chat%2F7`. What is after the
// hash is never sent to a server.

import { lazy, useSyncExternalStore, type ComponentType } from 'react';
import { texts } from '../src/i18n';
import type { IconName } from '../src/ui/icon';
import Overview from './pages/overview';

/** The pages, in their order. */
export type PageName =
  | 'overview'
  | 'topics'
  | 'connections'
  | 'generations'
  | 'trace'
  | 'configuration';

/** A page; `rest` is what its address says after its name. */
export interface Page {
  name: PageName;
  icon: IconName;
  view: ComponentType<{ rest: string }>;
}

const loads: (() => Promise<unknown>)[] = [];

function later(load: () => Promise<{ default: Page['view'] }>): Page['view'] {
  loads.push(load);
  return lazy(load);
}

/** Loads the pages that were not opened yet: they are wanted most while the server is away. */
export function loadAll(): void {
  for (const load of loads) void load().catch(() => undefined);
}

/** All pages. */
export const pages: readonly Page[] = [
  { name: 'overview', icon: 'gauge', view: Overview },
  { name: 'topics', icon: 'topics', view: later(() => import('./pages/topics')) },
  { name: 'connections', icon: 'compare', view: later(() => import('./pages/connections')) },
  { name: 'generations', icon: 'chat', view: later(() => import('./pages/generations')) },
  { name: 'trace', icon: 'wire', view: later(() => import('./pages/trace')) },
  { name: 'configuration', icon: 'sliders', view: later(() => import('./pages/configuration')) },
];

/** What the pages are called. */
export const pageNames = texts(
  {
    overview: 'Overview',
    topics: 'Topics',
    connections: 'Connections',
    generations: 'Generations',
    trace: 'Trace',
    configuration: 'Configuration',
  },
  {
    overview: '總覽',
    topics: '主題',
    connections: '連線',
    generations: '生成',
    trace: '追蹤',
    configuration: '設定',
  },
);

/** The address of a page, or of something on it. */
export const hrefOf = (page: PageName, rest = ''): string =>
  page === 'overview' ? '#/' : rest ? `#/${page}/${encodeURIComponent(rest)}` : `#/${page}`;

/** What the address names: a page, and something on it. */
export interface Place {
  page: string;
  rest: string;
}

const follow = (changed: () => void) => {
  addEventListener('hashchange', changed);
  return () => removeEventListener('hashchange', changed);
};

/** Where one is. */
export function usePlace(): Place {
  const hash = useSyncExternalStore(follow, () => location.hash);
  const [page = '', ...rest] = hash.replace(/^#\/?/, '').split('/');
  return { page: page || 'overview', rest: decode(rest.join('/')) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
