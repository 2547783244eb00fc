// One answer, followed to its end: over any number of connections, cuts and reloads.
//
// The page keeps an address and the id of the last event it has read, nothing else. Whatever
// happens, it asks for what comes after that id; after a reload it has no id, and is sent a
// snapshot and then the rest.

import { parse } from '@tidings/client/parser';
import type { Network } from '../../../src/lib/network';
import { Signal, coalesce } from '../../../src/lib/signal';
import type { Tape } from '../../../src/lib/tape';

/** What is remembered of a turn: enough to find its answer again. */
export interface Turn {
  /** Sent as `Idempotency-Key`: whoever asks again with it gets the same answer. */
  key: string;
  question: string;
  model: string;
  /** Where the answer can be read, by whoever has this address. */
  link?: string;
  /** Where it can be stopped. */
  stop?: string;
}

/** A message, as chat APIs have them. */
export interface Message {
  role: 'user' | 'assistant';
  content: string;
}

/** How an answer is doing. */
export type Phase = 'asking' | 'streaming' | 'waiting' | 'done' | 'cancelled' | 'error' | 'gone';

/** Where it went on after an interruption. */
export interface Resume {
  /** The id after which; empty for a snapshot after a reload. */
  after: string;
  /** Pieces that came while nobody listened. */
  replayed: number;
  /** The part of the text that they are, in UTF-16 units. */
  from: number;
  to: number;
}

/** What is shown of an answer. */
export interface View {
  phase: Phase;
  text: string;
  pieces: number;
  resumes: readonly Resume[];
  /** Milliseconds from the question to the first piece. */
  first: number;
  /** Pieces a second, while this page was listening. */
  pace: number;
  /** Events that came twice. */
  twice: number;
  /** Characters that are missing at the end against what the server has; -1: not compared. */
  lost: number;
  problem: string;
}

const blank: View = {
  phase: 'asking',
  text: '',
  pieces: 0,
  resumes: [],
  first: 0,
  pace: 0,
  twice: 0,
  lost: -1,
  problem: '',
};

/** Longest wait before it tries again, in milliseconds. */
const RETRY_MAX_MS = 4_000;

/** Statuses that asking again does not mend. */
const FINAL = [400, 401, 403, 404, 409, 410, 422];

interface Chunk {
  choices?: { delta?: { content?: string }; finish_reason?: string | null }[];
  error?: { message?: string; code?: string };
}

interface Snapshot {
  events: number;
  text: string;
  state: string;
}

/** An answer that is being followed. */
export class Answer {
  readonly view = new Signal<View>(blank);
  readonly #network: Network;
  readonly #tape: Tape;
  readonly #remember: () => void;
  readonly #abort = new AbortController();
  readonly #flush = coalesce(() => this.view.set(this.#next));
  #next: View = blank;
  #id = '';
  readonly #seen = new Set<string>();
  #began = performance.now();
  #firstAt = 0;

  /** `turn` is completed as its addresses become known; `remember` is called then. */
  constructor(
    readonly turn: Turn,
    /** What was said before. */
    readonly earlier: readonly Message[],
    network: Network,
    tape: Tape,
    remember: () => void,
  ) {
    this.#network = network;
    this.#tape = tape;
    this.#remember = remember;
    void this.#follow();
  }

  /** Stops the generation, for everybody. */
  async stop(): Promise<void> {
    if (this.turn.stop) await this.#network.fetch(this.turn.stop, { method: 'POST' });
  }

  /** Stops reading; the answer goes on without us. */
  leave(): void {
    this.#abort.abort();
    this.#flush.stop();
  }

  /** Until the answer has ended, or nobody wants it any more. */
  async #follow(): Promise<void> {
    for (let failures = 0; !this.#abort.signal.aborted; failures += 1) {
      const before = this.#next.pieces;
      try {
        if (await this.#attempt()) return this.#finish();
      } catch (error) {
        if (error instanceof Refused) return this.#end(error.phase, error.message);
      }
      if (this.#abort.signal.aborted) return;
      if (this.#next.pieces > before) failures = 0;
      this.#set({ phase: 'waiting' });
      await this.#wait(failures);
    }
  }

  /** One connection. True: the answer has ended on it. */
  async #attempt(): Promise<boolean> {
    const resuming = this.turn.link !== undefined;
    const missed = resuming && this.#id ? await this.#missed() : 0;
    const response = resuming ? await this.#resume() : await this.#ask();
    if (FINAL.includes(response.status)) {
      const problem = (await response.json().catch(() => ({}))) as { detail?: string };
      const phase = response.status === 404 || response.status === 403 ? 'gone' : 'error';
      throw new Refused(resuming ? phase : 'error', problem.detail ?? `${response.status}`);
    }
    // A reader that has everything of an ended answer is told so with 204.
    if (response.status === 204) return true;
    if (!response.ok || !response.body) throw new Error(`${response.status}`);
    if (resuming && this.#id) this.#mark(missed);
    this.#set({ phase: 'streaming' });
    for await (const event of parse(response.body, { lastEventId: this.#id })) {
      if (this.#abort.signal.aborted) return false;
      if (this.#take(event.type, event.data, event.lastEventId)) return true;
    }
    return false;
  }

  #ask(): Promise<Response> {
    const body = JSON.stringify({
      model: this.turn.model,
      stream: true,
      messages: [...this.earlier, { role: 'user', content: this.turn.question }],
    });
    const headers = { 'content-type': 'application/json', 'idempotency-key': this.turn.key };
    const init = { method: 'POST', headers, body, signal: this.#abort.signal };
    return this.#network.fetch('/v1/chat/completions', init).then((response) => {
      const link = /^<([^>]+)>/.exec(response.headers.get('link') ?? '')?.[1];
      const stop = response.headers.get('tidings-stop');
      if (link) this.turn.link = link;
      if (stop) this.turn.stop = stop;
      this.#remember();
      return response;
    });
  }

  #resume(): Promise<Response> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (this.#id) headers['last-event-id'] = this.#id;
    return this.#network.fetch(this.turn.link ?? '', { headers, signal: this.#abort.signal });
  }

  /** What the server has of it now. */
  async #snapshot(): Promise<Snapshot | undefined> {
    const link = this.turn.link?.replace('/topics/$answers/', '/answers/') ?? '';
    const response = await this.#network.fetch(link, { signal: this.#abort.signal });
    if (!response.ok) return undefined;
    return ((await response.json()) as { snapshot?: Snapshot }).snapshot;
  }

  /** How many pieces have come that we have not had. */
  async #missed(): Promise<number> {
    const snapshot = await this.#snapshot();
    return Math.max(0, (snapshot?.events ?? 0) - this.#next.pieces);
  }

  #mark(replayed: number): void {
    const from = this.#next.text.length;
    const resume = { after: this.#id, replayed, from, to: replayed ? Infinity : from };
    this.#tape.resumed();
    this.#set({ resumes: [...this.#next.resumes, resume] });
  }

  /** Takes an event; true if it was the last. */
  #take(type: string, data: string, id: string): boolean {
    if (type === 'snapshot') return this.#restore(JSON.parse(data) as Snapshot, id);
    if (type === 'end') {
      const { reason } = JSON.parse(data) as { reason: string };
      if (reason === 'cancelled') this.#set({ phase: 'cancelled' });
      return true;
    }
    if (id && this.#seen.has(id)) this.#set({ twice: this.#next.twice + 1 });
    this.#seen.add(id);
    this.#id = id;
    if (data === '[DONE]') return true;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) {
      const phase = chunk.error.code === 'cancelled' ? 'cancelled' : 'error';
      throw new Refused(phase, chunk.error.message ?? '');
    }
    this.#say(chunk.choices?.[0]?.delta?.content ?? '');
    return false;
  }

  #restore(snapshot: Snapshot, id: string): boolean {
    this.#id = id;
    const resume = { after: '', replayed: snapshot.events, from: 0, to: snapshot.text.length };
    this.#tape.resumed();
    this.#tape.add(snapshot.events, true);
    const resumes = [...this.#next.resumes, resume];
    this.#set({ text: snapshot.text, pieces: snapshot.events, resumes });
    if (snapshot.state === 'cancelled') this.#set({ phase: 'cancelled' });
    return false;
  }

  #say(piece: string): void {
    const now = performance.now();
    if (!this.#firstAt) {
      this.#firstAt = now;
      if (!this.#next.resumes.length) this.#set({ first: now - this.#began });
    }
    const pieces = this.#next.pieces + 1;
    const text = this.#next.text + piece;
    const last = this.#next.resumes.at(-1);
    let resumes = this.#next.resumes;
    let replayed = false;
    if (last?.to === Infinity) {
      replayed = true;
      const left = last.replayed - this.#replayedSoFar - 1;
      this.#replayedSoFar += 1;
      if (left <= 0) {
        resumes = [...resumes.slice(0, -1), { ...last, to: text.length }];
        this.#replayedSoFar = 0;
      }
    } else {
    }
    this.#tape.add(1, replayed);
    const pace = this.#pace(now, replayed);
    this.#next = { ...this.#next, text, pieces, resumes, pace };
    this.#flush.soon();
  }

  #replayedSoFar = 0;
  readonly #recent: number[] = [];

  /** Pieces a second over the last second of listening. */
  #pace(now: number, replayed: boolean): number {
    if (replayed) {
      this.#recent.length = 0;
      return this.#next.pace;
    }
    this.#recent.push(now);
    while ((this.#recent[0] ?? now) < now - 1_000) this.#recent.shift();
    const span = now - (this.#recent[0] ?? now);
    return span > 200 ? ((this.#recent.length - 1) / span) * 1_000 : this.#next.pace;
  }

  /** It has ended: compares what was read with what was said. */
  async #finish(): Promise<void> {
    const phase = this.#next.phase === 'cancelled' ? 'cancelled' : 'done';
    let lost = -1;
    let ended: Phase = phase;
    try {
      const snapshot = await this.#snapshot();
      if (snapshot) {
        const same = snapshot.text === this.#next.text;
        lost = same ? 0 : Math.max(1, snapshot.text.length - this.#next.text.length);
        if (snapshot.state === 'cancelled') ended = 'cancelled';
      }
    } catch {
      // Compared when the network is back, or never: the answer itself is complete.
    }
    this.#set({ lost });
    this.#end(ended);
  }

  #end(phase: Phase, problem = ''): void {
    this.#set({ phase, problem });
    this.#flush.now();
  }

  #set(change: Partial<View>): void {
    this.#next = { ...this.#next, ...change };
    if ('phase' in change || 'resumes' in change) this.view.set(this.#next);
    else this.#flush.soon();
  }

  /** Until the network is back, or it is time to try again. */
  #wait(failures: number): Promise<void> {
    const bound = Math.min(250 * 2 ** failures, RETRY_MAX_MS);
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        removeEventListener('online', done);
        this.#abort.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, failures ? Math.random() * bound : 50);
      addEventListener('online', done);
      this.#abort.signal.addEventListener('abort', done);
    });
  }
}

/** The server says no, and would again. */
class Refused extends Error {
  constructor(
    readonly phase: Phase,
    message: string,
  ) {
    super(message);
  }
}
