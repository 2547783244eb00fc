/** Importing does nothing, also where there is no page, and typed clients know their topics. */

import { expect, expectTypeOf, it } from 'vitest';
import { createClient, json, type Subscription } from '../src/index.js';
import { kit } from './kit.js';

it('has no effect', async () => {
  const before = Object.keys(globalThis);
  await Promise.all([
    import('../src/index.js'), import('../src/parser.js'), import('../src/eventsource.js'),
    import('../src/presence.js'), import('../src/push.js'), import('../src/testing.js'),
  ]);
  expect(Object.keys(globalThis)).toEqual(before);
});

it('sends nothing before something is asked for', () => {
  const { server, clock } = kit();
  expect([server.requests, clock.timers]).toEqual([[], []]);
});

it('types', () => {
  // A type rather than an interface: those may be added to, and have no index signature.
  type Events = { orders: { total: number } };
  const typed = createClient<Events>({ url: 'http://t.test', parse: json });
  const orders = typed.subscribe('orders');
  expectTypeOf(orders).toEqualTypeOf<Subscription<{ total: number }>>();
  typed.close();
  const plain = createClient({ url: 'http://t.test' });
  const text = plain.subscribe('orders');
  expectTypeOf(text).toEqualTypeOf<Subscription<string>>();
  plain.close();
});
