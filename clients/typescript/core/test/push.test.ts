/** Web Push: what is asked of browser and server, in which order, and what goes wrong. */

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { pushProblem, subscribeToPush, unsubscribeFromPush } from '../src/push.js';

const KEY = 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIA'
  + 'iw4';
const keyBytes = new Uint8Array(Buffer.from(KEY, 'base64url'));
const client = { url: 'http://t.test/below' };
const worker = { url: '/worker.js', scope: '/app' };

/** What has happened, in order. */
let log: string[];
/** The browser's subscription. */
let held: ReturnType<typeof subscription> | null;
/** What the visitor answers, and what the push service does. */
let answer: NotificationPermission;
let refusal: Error | 'silence' | undefined;
/** What the server answers. */
let replies: Record<string, [number, unknown]>;

function subscription(key: Uint8Array) {
  return {
    options: { applicationServerKey: key.buffer },
    toJSON: () => ({
      endpoint: 'https://p.test/1', expirationTime: null, keys: { p256dh: 'p', auth: 'a' },
    }),
    unsubscribe: async () => {
      log.push('browser: unsubscribe');
      held = null;
      return true;
    },
  };
}

const registration = {
  active: {},
  pushManager: {
    getSubscription: async () => held,
    subscribe: async (options: { userVisibleOnly: boolean; applicationServerKey: Uint8Array }) => {
      log.push(`browser: subscribe ${options.userVisibleOnly}`);
      expect(options.applicationServerKey).toEqual(keyBytes);
      if (refusal === 'silence') return new Promise(() => {});
      if (refusal) throw refusal;
      held = subscription(options.applicationServerKey);
      return held;
    },
  },
} as unknown as ServiceWorkerRegistration;

const send = async (url: unknown, init: RequestInit = {}) => {
  const path = String(url).replace('http://t.test/below', '');
  const auth = new Headers(init.headers).get('authorization');
  log.push([`${init.method} ${path}`, auth, init.body].filter(Boolean).join(' '));
  const [status, body] = replies[`${init.method} ${path}`] ?? [404, { code: 'not-found' }];
  return new Response(status === 204 ? null : JSON.stringify(body), { status });
};

beforeEach(() => {
  [log, held, answer, refusal] = [[], null, 'granted', undefined];
  replies = {
    'GET /push/key': [200, { key: KEY }],
    'POST /push/subscriptions': [201, { id: 'x/1' }],
    'DELETE /push/subscriptions/x%2F1': [204, undefined],
  };
  const notification = {
    permission: 'default',
    requestPermission: async () => {
      log.push('browser: asks');
      notification.permission = answer;
      return answer;
    },
  };
  vi.stubGlobal('isSecureContext', true);
  vi.stubGlobal('Notification', notification);
  vi.stubGlobal('PushManager', class {});
  vi.stubGlobal('navigator', {
    serviceWorker: {
      register: async (url: string, options: object) => {
        log.push(`browser: register ${url} ${JSON.stringify(options)}`);
        return registration;
      },
    },
  });
  vi.stubGlobal('fetch', send);
});
afterEach(() => vi.unstubAllGlobals());

const code = (promise: Promise<unknown>) =>
  promise.then(() => 'none', ({ code }) => code as string);

it('asks the visitor first, then the browser, then the server', async () => {
  const subscribed = await subscribeToPush(client, ['a', 'b/*'], {
    worker, ttl: '1h', urgency: 'high', headers: { authorization: 'Bearer t' },
  });
  expect(subscribed.id).toBe('x/1');
  expect(log).toEqual([
    'browser: asks',
    'GET /push/key Bearer t',
    'browser: register /worker.js {"scope":"/app"}',
    'browser: subscribe true',
    'POST /push/subscriptions Bearer t {"endpoint":"https://p.test/1","expirationTime":null,'
      + '"keys":{"p256dh":"p","auth":"a"},"topics":["a"],"patterns":["b/*"],"ttl":"1h",'
      + '"urgency":"high"}',
  ]);
  log = [];
  await unsubscribeFromPush(client, subscribed);
  expect(log).toEqual(['DELETE /push/subscriptions/x%2F1', 'browser: unsubscribe']);
  // The server has forgotten it already.
  replies = {};
  await unsubscribeFromPush(client, subscribed);
});

it('keeps the subscription that the browser has, but not one of another key', async () => {
  held = subscription(keyBytes);
  await subscribeToPush(client, 'a', { worker: registration });
  expect(log.filter((line) => line.startsWith('browser'))).toEqual(['browser: asks']);
  held = subscription(new Uint8Array(65));
  log = [];
  await subscribeToPush(client, 'a', { worker: registration });
  expect(log.slice(2, 4)).toEqual(['browser: unsubscribe', 'browser: subscribe true']);
});

it('says why there is none', async () => {
  const go = () => code(subscribeToPush(client, 'a', { worker }));
  answer = 'default';
  expect(await go()).toBe('push-dismissed');
  answer = 'denied';
  expect(await go()).toBe('push-denied');
  // Nobody is asked twice who has said no.
  log = [];
  expect(await go()).toBe('push-denied');
  expect(log).toEqual([]);
  const granted = { permission: 'granted', requestPermission: async () => 'granted' };
  vi.stubGlobal('Notification', granted);
  for (const name of ['AbortError', 'NotAllowedError', 'NotSupportedError']) {
    refusal = Object.assign(new Error('no'), { name });
    expect(await go()).toBe('push-no-service');
  }
  refusal = 'silence';
  const hasty = { worker, serviceTimeout: 5 };
  expect(await code(subscribeToPush(client, 'a', hasty))).toBe('push-no-service');
  replies['GET /push/key'] = [501, { code: 'not-implemented' }];
  expect(await go()).toBe('push-off');
  replies['GET /push/key'] = [200, { key: KEY }];
  replies['POST /push/subscriptions'] = [429, { code: 'rate-limited', retryable: true }];
  refusal = undefined;
  expect(await go()).toBe('rate-limited');
  vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('gone')));
  expect(await go()).toBe('network');
});

it('knows without asking what cannot be', () => {
  expect(pushProblem()).toBeUndefined();
  vi.stubGlobal('isSecureContext', false);
  expect(pushProblem()).toBe('push-insecure');
  vi.stubGlobal('isSecureContext', true);
  vi.stubGlobal('navigator', {});
  expect(pushProblem()).toBe('push-unsupported');
});
