/** A server in memory, behind `fetch`: what the protocol says of streams, history and changes. */

import type { EndReason, WireEvent } from '@tidings/client';

interface Stream {
  topics: Set<string>;
  send(text: string): void;
  close(error?: Error): void;
}

const encoder = new TextEncoder();

/** See the head of this file. */
export class FakeServer {
  /** Streams that were ever opened: connections, since a client has one at a time. */
  connections = 0;
  /** Every request, `METHOD /path`. */
  readonly requests: string[] = [];
  /** Answers are held back until `release` is called. */
  holds = false;
  /** Answers with this status instead. */
  refuses: number | undefined;
  private readonly log: WireEvent[] = [];
  private readonly streams = new Map<string, Stream>();
  private readonly held: (() => void)[] = [];
  private serial = 0;
  private names = 0;

  /** Streams that are open now. */
  get open(): number {
    return this.streams.size;
  }

  /** Topics that are followed now. */
  get followed(): string[] {
    return [...new Set([...this.streams.values()].flatMap(({ topics }) => [...topics]))].sort();
  }

  /** Publishes. */
  emit(topic: string, data: string, more: Partial<WireEvent> = {}): string {
    const id = `fake-${(this.serial += 1)}`;
    const event: WireEvent = { id, topic, time: new Date(0).toISOString(), data, ...more };
    this.log.push(event);
    for (const stream of this.streams.values()) {
      if (stream.topics.has(topic)) stream.send(block(event));
    }
    return id;
  }

  /** Ends a topic. */
  end(topic: string, reason: EndReason = 'done'): void {
    const id = `fake-${(this.serial += 1)}`;
    const data = JSON.stringify({ reason, topic });
    for (const stream of this.streams.values()) {
      if (stream.topics.has(topic)) stream.send(`id: ${id}\nevent: end\ndata: ${data}\n\n`);
    }
  }

  /** Tells all streams of a gap. */
  gap(reason: string, topics: string[]): void {
    const id = `fake-${this.serial}`;
    const data = JSON.stringify({ reason, requested: 'fake-0', resumes: id, topics });
    for (const stream of this.streams.values()) {
      stream.send(`id: ${id}\nevent: gap\ndata: ${data}\n\n`);
    }
  }

  /** Cuts what is open. */
  cut(): void {
    for (const stream of [...this.streams.values()]) stream.close(new Error('cut'));
  }

  /** Lets the answers go that were held back. */
  release(): void {
    this.holds = false;
    for (const answer of this.held.splice(0)) answer();
  }

  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const url = new URL(String(input));
    const method = init.method ?? 'GET';
    this.requests.push(`${method} ${url.pathname}`);
    const { signal } = init;
    if (this.holds) {
      await new Promise<void>((resolve, reject) => {
        this.held.push(resolve);
        signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
      });
    }
    if (this.refuses !== undefined) {
      const status = this.refuses;
      return Response.json({ code: 'forbidden', detail: 'no', retryable: false }, { status });
    }
    const headers = new Headers(init.headers);
    if (method === 'PATCH') return this.change(url, String(init.body));
    if (method === 'POST') return this.publish(url, String(init.body));
    const path = /^\/topics\/(.*)$/.exec(url.pathname)?.[1];
    const topics = path === undefined ? url.searchParams.getAll('topic') : [decodeURI(path)];
    const after = headers.get('last-event-id') ?? url.searchParams.get('lastEventId');
    const last = url.searchParams.get('last');
    const mine = this.log.filter(({ topic }) => topics.includes(topic));
    const known = mine.findIndex(({ id }) => id === after);
    const behind = after !== null ? mine.slice(known + 1) : last !== null ? mine.slice(-last) : [];
    const now = `fake-${this.serial}`;
    if (headers.get('accept') === 'application/json') {
      const before = url.searchParams.get('before');
      const bound = this.log.findIndex(({ id }) => id === before);
      const number = (id: string): number => Number(id.split('-')[1]);
      const until = before === null || bound < 0 ? Infinity : number(before);
      const events = behind.filter(({ id }) => number(id) < until);
      return Response.json({ events, next: events.at(-1)?.id ?? now, more: false, gap: null });
    }
    return this.stream(topics, behind, after ?? now, signal);
  };

  private stream(
    topics: string[],
    behind: WireEvent[],
    after: string,
    signal: AbortSignal | null | undefined,
  ): Response {
    this.connections += 1;
    const name = `c${(this.names += 1)}`;
    const { streams } = this;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        const stream: Stream = {
          topics: new Set(topics),
          send: (text) => controller.enqueue(encoder.encode(text)),
          close(error) {
            if (!streams.delete(name)) return;
            if (error === undefined) controller.close();
            else controller.error(error);
          },
        };
        streams.set(name, stream);
        stream.send(':\n');
        for (const event of behind) stream.send(block(event));
        const abort = (): void => stream.close(new DOMException('', 'AbortError'));
        signal?.addEventListener('abort', abort);
      },
      cancel: () => void streams.delete(name),
    });
    return new Response(body, {
      headers: {
        'content-type': 'text/event-stream',
        'tidings-connection': name,
        'last-event-id': after,
      },
    });
  }

  private change(url: URL, body: string): Response {
    const stream = this.streams.get(url.pathname.split('/').at(-1) ?? '');
    if (stream === undefined) {
      return Response.json({ code: 'connection-not-found' }, { status: 404 });
    }
    const { add, remove } = JSON.parse(body) as Record<'add' | 'remove', { topics: string[] }>;
    for (const topic of add.topics) stream.topics.add(topic);
    for (const topic of remove.topics) stream.topics.delete(topic);
    return Response.json({ after: `fake-${this.serial}` });
  }

  private publish(url: URL, body: string): Response {
    const topic = decodeURIComponent(url.pathname.replace('/topics/', ''));
    const key = url.searchParams.get('key');
    const id = this.emit(topic, body, key === null ? {} : { key });
    return Response.json({ id, topic, duplicate: false });
  }
}

function block(event: WireEvent): string {
  return `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
}
