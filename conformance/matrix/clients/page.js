// Clients that run in a browser; ./chromium.mjs bundles this and drives it.

import { fetchEventSource } from '@microsoft/fetch-event-source';
import { EventSourcePolyfill } from 'event-source-polyfill';
import { SSE } from 'sse.js';

function standard(make) {
  return (url, options, sink) => {
    const source = make(url, options);
    const heard = (event) => {
      if (typeof event.data !== 'string' || event.lastEventId === undefined) return false;
      sink.event({ type: event.type, data: event.data, id: event.lastEventId });
      return true;
    };
    for (const type of options.types) {
      if (type !== 'error') source.addEventListener(type, heard);
    }
    source.addEventListener('error', (event) => {
      if (heard(event)) return;
      if (source.readyState === 2) sink.closed();
      else sink.lost();
    });
    return () => source.close();
  };
}

function microsoft(url, options, sink) {
  const abort = new AbortController();
  let lastEventId = '';
  const done = fetchEventSource(url, {
    signal: abort.signal,
    openWhenHidden: true,
    onmessage({ event, data, id }) {
      // An empty id may be none, or one that resets the last.
      lastEventId = id || lastEventId;
      sink.event({ type: event || 'message', data, id: id || null });
    },
    onclose() {
      sink.lost();
      throw new Error('the stream has ended');
    },
    onerror: () => sink.lost(),
  });
  done.then(sink.closed, sink.closed);
  return () => abort.abort();
}

const polyfill = (url, { silence }) =>
  new EventSourcePolyfill(url, silence ? { heartbeatTimeout: silence } : {});

/** Its events have no id but the block's own. */
function sseJs(url, options, sink) {
  const source = new SSE(url, { autoReconnect: true, useLastEventId: true });
  const heard = ({ type, data, lastEventId, id }) =>
    sink.event({ type, data, id: lastEventId ?? id ?? null });
  for (const type of options.types) {
    if (type !== 'error' && type !== 'open') source.addEventListener(type, heard);
  }
  source.addEventListener('error', (event) => {
    if (typeof event.data === 'string' && event.lastEventId !== undefined) heard(event);
    else sink.lost();
  });
  source.addEventListener('readystatechange', () => {
    if (source.readyState === SSE.CLOSED) sink.lost();
  });
  return () => source.close();
}

const clients = {
  EventSource: standard((url) => new EventSource(url)),
  '@microsoft/fetch-event-source': microsoft,
  'event-source-polyfill': standard(polyfill),
  'sse.js': sseJs,
};

const open = new Map();

/** Begins to follow `url`; what comes is told to `told(key, what, event)`. */
globalThis.follow = (key, name, url, options) => {
  const sink = {
    event: (event) => globalThis.told(key, 'event', event),
    lost: () => globalThis.told(key, 'lost'),
    closed: () => globalThis.told(key, 'closed'),
  };
  open.set(key, clients[name](url, options, sink));
};

globalThis.leave = (key) => {
  open.get(key)?.();
  open.delete(key);
};
