// Clients that run in Node, each used as its own documentation says.
//
// A client is `open(url, options, sink)`, which returns a function that closes it. It tells the
// sink each `event` ({type, data, id}; an id of null: it does not say), each time that its
// connection was `lost`, and when it has `closed` for good. `options.types` are the types of events
// to listen to, `options.silence` the silence in milliseconds after which a connection is to be
// taken for dead, for those that can.

import { createRequire } from 'node:module';
import { EventSource as Evented } from 'eventsource';
import { createEventSource } from 'eventsource-client';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { EventSource as Extended } from 'extended-eventsource';
import { EventSourcePlus } from 'event-source-plus';

const { EventSource: LaunchDarkly } = createRequire(import.meta.url)('launchdarkly-eventsource');

/** Anything that has the interface of the browser's EventSource. */
export function standard(make) {
  return (url, options, sink) => {
    const source = make(url, options);
    const heard = (event) => {
      if (typeof event.data !== 'string') return false;
      sink.event({ type: event.type, data: event.data, id: event.lastEventId });
      return true;
    };
    for (const type of options.types) {
      if (type !== 'error') source.addEventListener(type, heard);
    }
    source.addEventListener('error', (event) => {
      // The server can send an event of this name, too.
      if (heard(event)) return;
      if (source.readyState === 2) sink.closed();
      else sink.lost();
    });
    return () => source.close();
  };
}

function launchDarkly(url, options, sink) {
  const make = () => {
    const source = new LaunchDarkly(url, { readTimeoutMillis: options.silence });
    source.addEventListener('end', () => sink.lost());
    source.addEventListener('closed', () => sink.closed());
    return source;
  };
  return standard(make)(url, options, sink);
}

function eventSourceClient(url, options, sink) {
  const source = createEventSource({
    url,
    onMessage: ({ event, data, id }) =>
      sink.event({ type: event ?? 'message', data, id: id ?? source.lastEventId ?? '' }),
    onDisconnect: () => (source.readyState === 'closed' ? sink.closed() : sink.lost()),
  });
  return () => source.close();
}

/** It has no connection of its own: one `fetch`, as in its documentation. */
function eventSourceParser(url, options, sink) {
  const abort = new AbortController();
  let lastEventId = '';
  const run = async () => {
    const response = await fetch(url, { signal: abort.signal });
    const parser = new EventSourceParserStream({
      onId: (id) => {
        lastEventId = id;
      },
    });
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser);
    for await (const { event, data, id } of events) {
      sink.event({ type: event ?? 'message', data, id: id ?? lastEventId });
    }
  };
  run().then(sink.closed, sink.closed);
  return () => abort.abort();
}

function eventSourcePlus(url, options, sink) {
  let lastEventId = '';
  const controller = new EventSourcePlus(url).listen({
    onMessage({ event, data, id }) {
      lastEventId = id ?? lastEventId;
      sink.event({ type: event ?? 'message', data, id: lastEventId });
    },
    onRequestError: () => sink.lost(),
    onResponseError: () => sink.lost(),
  });
  controller.onAbort(() => sink.closed());
  return () => controller.abort();
}

export const clients = {
  eventsource: { open: standard((url) => new Evented(url)) },
  'eventsource-client': { open: eventSourceClient },
  'eventsource-parser': { open: eventSourceParser, decodes: true },
  'launchdarkly-eventsource': { open: launchDarkly },
  'extended-eventsource': { open: standard((url) => new Extended(url)) },
  'event-source-plus': { open: eventSourcePlus },
};
