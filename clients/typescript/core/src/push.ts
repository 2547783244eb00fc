/**
 * Web Push: events also when no page is open, by way of the browser's push service.
 *
 * The browser gives an address and keys, the server keeps them and sends there what is published
 * (docs/push.md). What is done with a message is the service worker's business, which is the
 * application's own. Importing this does nothing; the question for permission is only asked by
 * `subscribeToPush`, which belongs into the handler of a click.
 */

import { TidingsError, type Problem } from './errors.js';
import { checkTopics, isPattern } from './names.js';

/**
 * Why there is no push:
 *
 * | code | |
 * |---|---|
 * | `push-unsupported` | the browser has no Web Push, or not for this page |
 * | `push-insecure` | the page did not come over https, nor from this machine |
 * | `push-denied` | the visitor, or the browser, has forbidden notifications of this page |
 * | `push-dismissed` | the visitor has closed the question without an answer |
 * | `push-no-service` | the browser has no push service, or cannot reach it (private windows) |
 * | `push-off` | the server does not offer it |
 *
 * Other codes are those of the server, and `network`.
 */
export type PushProblem =
  | 'push-unsupported'
  | 'push-insecure'
  | 'push-denied'
  | 'push-dismissed'
  | 'push-no-service'
  | 'push-off';

/** How to ask the server. */
export interface PushRequestOptions {
  /** Instead of the global `fetch`. */
  fetch?: typeof fetch;
  /** Headers of each request, such as `Authorization`. */
  headers?: HeadersInit;
}

/** What is wanted. */
export interface PushOptions extends PushRequestOptions {
  /** The service worker: where its script is and which pages it is for, or its registration. */
  worker: { url: string | URL; scope?: string } | ServiceWorkerRegistration;
  /** How long a message is of use, such as `1h`; as the server is configured unless given. */
  ttl?: string;
  /** How soon a device that saves power should get it (RFC 8030, section 5.3). */
  urgency?: 'very-low' | 'low' | 'normal' | 'high';
  /**
   * How long the browser may take to find its push service, in milliseconds: 20,000. Some never
   * say that they have none.
   */
  serviceTimeout?: number;
}

/** `serviceTimeout` unless given. */
const SERVICE_TIMEOUT = 20_000;

/** A subscription. */
export interface PushSubscribed {
  /** What `unsubscribeFromPush` wants: worth keeping, in `localStorage` for example. */
  readonly id: string;
  readonly registration: ServiceWorkerRegistration;
}

/** A client, or whatever else knows the server's address. */
interface Addressed {
  readonly url: string;
}

/** What of a registration is used. */
type Manager = Pick<PushManager, 'getSubscription' | 'subscribe'>;

/** Why this page cannot have push, as far as is known without asking; nothing if it may. */
export function pushProblem(): PushProblem | undefined {
  const { isSecureContext, Notification } = globalThis;
  if (isSecureContext === false) return 'push-insecure';
  const worker = (globalThis.navigator as Navigator | undefined)?.serviceWorker;
  if (!worker || !('PushManager' in globalThis) || !Notification) return 'push-unsupported';
  return Notification.permission === 'denied' ? 'push-denied' : undefined;
}

/**
 * Has what is published to `topics` pushed to this browser; a name with `*` is a pattern. Asks the
 * visitor for permission if that was not done before, so it is to be called when something was
 * clicked. Once more changes the topics.
 *
 * @throws {TidingsError} with a {@link PushProblem}, the server's `code`, or `network`.
 */
export async function subscribeToPush(
  client: Addressed,
  topics: string | readonly string[],
  options: PushOptions,
): Promise<PushSubscribed> {
  const names = checkTopics(topics);
  const problem = pushProblem();
  if (problem) throw failed(problem);
  // First of all: browsers ask only while the click is fresh.
  const permission = await Notification.requestPermission();
  if (permission !== 'granted') {
    throw failed(permission === 'denied' ? 'push-denied' : 'push-dismissed');
  }
  const { key } = await ask<{ key: string }>(client, 'GET', 'push/key', options);
  const registration = await registered(options.worker);
  const subscription = await browserSubscription(registration.pushManager, key, options);
  const { id } = await ask<{ id: string }>(client, 'POST', 'push/subscriptions', options, {
    ...subscription.toJSON(),
    topics: names.filter((name) => !isPattern(name)),
    patterns: names.filter(isPattern),
    ttl: options.ttl,
    urgency: options.urgency,
  });
  return { id, registration };
}

/**
 * Ends it, on the server and in the browser. That the server does not know it any more is no error.
 *
 * @throws {TidingsError} the server's `code`, or `network`.
 */
export async function unsubscribeFromPush(
  client: Addressed,
  subscribed: { id: string; registration?: ServiceWorkerRegistration | undefined },
  options: PushRequestOptions = {},
): Promise<void> {
  const path = `push/subscriptions/${encodeURIComponent(subscribed.id)}`;
  await ask(client, 'DELETE', path, options).catch((error: TidingsError) => {
    if (error.status !== 404) throw error;
  });
  const subscription = await subscribed.registration?.pushManager.getSubscription();
  await subscription?.unsubscribe();
}

async function registered(worker: PushOptions['worker']): Promise<ServiceWorkerRegistration> {
  if ('pushManager' in worker) return worker;
  const { url, scope } = worker;
  const container = navigator.serviceWorker;
  try {
    const registration = await container.register(url, scope === undefined ? {} : { scope });
    await active(registration);
    return registration;
  } catch (cause) {
    throw failed('push-unsupported', cause);
  }
}

/** Waits until the worker works; `navigator.serviceWorker.ready` is that of this page alone. */
function active(registration: ServiceWorkerRegistration): Promise<void> {
  const worker = registration.installing ?? registration.waiting;
  if (registration.active || !worker) return Promise.resolve();
  return new Promise((resolve, reject) => {
    worker.addEventListener('statechange', () => {
      if (worker.state === 'activated') resolve();
      if (worker.state === 'redundant') reject(new Error('the service worker was not installed'));
    });
  });
}

/** The browser's subscription for the server's key. */
async function browserSubscription(
  manager: Manager,
  key: string,
  { serviceTimeout = SERVICE_TIMEOUT }: PushOptions,
): Promise<PushSubscription> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const tell = () => reject(new Error(`nothing within ${serviceTimeout} ms`));
    timer = setTimeout(tell, serviceTimeout);
  });
  try {
    return await Promise.race([late, subscribed(manager, fromBase64Url(key))]);
  } catch (cause) {
    const denied =
      (cause as Error).name === 'NotAllowedError' && Notification.permission === 'denied';
    throw failed(denied ? 'push-denied' : 'push-no-service', cause);
  } finally {
    clearTimeout(timer);
  }
}

async function subscribed(
  manager: Manager,
  applicationServerKey: Uint8Array<ArrayBuffer>,
): Promise<PushSubscription> {
  const old = await manager.getSubscription();
  const known = old && new Uint8Array(old.options.applicationServerKey ?? new ArrayBuffer(0));
  if (known && String(known) === String(applicationServerKey)) return old;
  // One that belongs to another key: no server that has this one can use it.
  await old?.unsubscribe();
  return manager.subscribe({ userVisibleOnly: true, applicationServerKey });
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(plain, (char) => char.charCodeAt(0));
}

async function ask<T>(
  client: Addressed,
  method: string,
  path: string,
  options: PushRequestOptions,
  body?: object,
): Promise<T> {
  const base = client.url.endsWith('/') ? client.url : `${client.url}/`;
  const headers = new Headers(options.headers);
  if (body) headers.set('Content-Type', 'application/json');
  let response: Response;
  let answer: unknown;
  try {
    const send = options.fetch ?? fetch;
    response = await send(new URL(path, base).href, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    });
    answer = response.status === 204 ? undefined : await response.json();
  } catch (cause) {
    throw new TidingsError('network', 'the server does not answer', { cause, retryable: true });
  }
  if (response.ok) return answer as T;
  const problem = answer as Problem;
  const { status } = response;
  if (problem.code === 'not-implemented') throw failed('push-off', undefined, status, problem);
  const text = problem.detail ?? problem.title ?? `HTTP ${status}`;
  throw new TidingsError(problem.code ?? 'http', text, {
    status,
    problem,
    retryable: problem.retryable,
  });
}

function failed(code: PushProblem, cause?: unknown, status?: number, problem?: Problem) {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return new TidingsError(code, `no push${why}`, { cause, status, problem });
}
