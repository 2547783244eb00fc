// The pages of the demo: their paths, names, and code that is loaded when they are opened.

import { lazy, type ComponentType } from 'react';
import { texts } from '../src/i18n';
import type { IconName } from '../src/ui/icon';

/** The scenarios, in their order. */
export type PageName = 'chat' | 'rooms' | 'document' | 'prices' | 'compare';

/** A page of the demo. */
export interface Page {
  name: PageName;
  icon: IconName;
  view: ComponentType;
}

/** All pages. */
export const pages: readonly Page[] = [
  { name: 'chat', icon: 'chat', view: lazy(() => import('./pages/chat')) },
  { name: 'rooms', icon: 'rooms', view: lazy(() => import('./pages/rooms')) },
  { name: 'document', icon: 'document', view: lazy(() => import('./pages/document')) },
  { name: 'prices', icon: 'prices', view: lazy(() => import('./pages/prices')) },
  { name: 'compare', icon: 'compare', view: lazy(() => import('./pages/compare')) },
];

/** The path of a page. */
export const pathOf = (name: PageName): string => `/demo/${name}`;

/** What the pages are called, and in one line what they show. */
export const pageTexts = texts(
  {
    chat: {
      name: 'AI chat',
      line: 'An answer that survives the tunnel, the reload, the second tab',
    },
    rooms: { name: 'Group chat', line: 'Nothing twice, nothing lost, while you pull the plug' },
    document: {
      name: 'Shared document',
      line: 'Edit together; be reminded; catch up on what you missed',
    },
    prices: {
      name: 'Live prices',
      line: '5,000 updates a second, and a slow tab that is never late',
    },
    compare: {
      name: 'SSE or WebSocket?',
      line: 'Both at once on the same topics, measured here and now',
    },
  },
  {
    chat: { name: 'AI 對話', line: '進隧道、重新整理、開第二個分頁，回答都還在' },
    rooms: { name: '群組聊天', line: '拔掉網路也不重複、不遺漏' },
    document: { name: '共享文件', line: '一起編輯，準時提醒，補上你錯過的' },
    prices: { name: '即時報價', line: '每秒五千筆，慢的分頁看到的永遠是最新' },
    compare: { name: 'SSE 還是 WebSocket？', line: '同樣的主題，兩者並排，當場量測' },
  },
);
