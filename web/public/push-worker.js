// The service worker of the demo: shows what is pushed, and leads to its place when it is clicked.
//
// It is served as it stands. A page that shows the event already is asked first, so a reminder is
// told once: in the page where somebody looks at it, otherwise by the system.
'use strict';

/** The page that notices belong to. */
const PAGE = '/demo/document';

/** The topic that is pushed. */
const REMINDERS = 'demo/document/reminders';

/** How long a page may take to say that it has an event, in milliseconds. */
const ANSWER_MS = 1500;

/** In the language that the page had when it asked for this. */
const zh = new URL(self.location.href).searchParams.get('language') === 'zh';
const say = zh
  ? { title: (name) => `${name} 的提醒`, untold: '打開文件看看。', some: '提醒' }
  : {
      title: (name) => `Reminder from ${name}`,
      untold: 'Open the document to read it.',
      some: 'Reminder',
    };

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('push', (event) => event.waitUntil(show(read(event.data))));
self.addEventListener('notificationclick', (event) => event.waitUntil(open(event.notification)));
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(renew(event)));

/** The event that was pushed; without its data if that was too long for a message. */
function read(data) {
  try {
    const event = data.json();
    let told = {};
    try {
      told = JSON.parse(event.data);
    } catch {
      // Truncated, or published by somebody who writes it otherwise.
    }
    return { id: String(event.id ?? ''), told };
  } catch {
    return { id: '', told: {} };
  }
}

async function show({ id, told }) {
  if (id && (await seen(id))) return;
  const name = typeof told.name === 'string' ? told.name : '';
  await self.registration.showNotification(name ? say.title(name) : say.some, {
    body: typeof told.text === 'string' ? told.text : say.untold,
    // Whatever comes twice replaces itself, without a second sound.
    tag: id || 'tidings',
    icon: '/_/icon.svg',
    lang: zh ? 'zh-Hant' : 'en',
    data: { id },
  });
}

/** The windows that show the page. */
async function pages() {
  const all = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  return all.filter(({ url }) => new URL(url).pathname === PAGE);
}

/** Whether somebody looks at a page that has the event. */
async function seen(id) {
  const looked = (await pages()).filter(({ visibilityState }) => visibilityState === 'visible');
  const answers = looked.map(
    (page) =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => resolve(data === true);
        setTimeout(resolve, ANSWER_MS, false);
        page.postMessage({ tidings: 'has', id }, [port2]);
      }),
  );
  return (await Promise.all(answers)).includes(true);
}

/** Leads to the event's place: in a page that is open, or else in a new one. */
async function open(notification) {
  notification.close();
  const { id = '' } = notification.data ?? {};
  const [page] = await pages();
  if (!page) return self.clients.openWindow(`${PAGE}#notice-${encodeURIComponent(id)}`);
  page.postMessage({ tidings: 'show', id });
  return page.focus();
}

/** The push service gives another address: the server is to have it. */
async function renew({ newSubscription, oldSubscription }) {
  const options = oldSubscription?.options;
  const subscription =
    newSubscription ?? (options && (await self.registration.pushManager.subscribe(options)));
  if (!subscription) return;
  await fetch('/push/subscriptions', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...subscription.toJSON(), topics: [REMINDERS] }),
  });
}
