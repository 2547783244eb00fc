/**
 * One tab's link: a part in the election, the group's channel, and either the leader's side or a
 * follower's. While the page is put away or frozen it takes no part, and a leader hands over.
 *
 * Promises: those of a link (`link.ts`). Where there are no locks after all, it is a connection of
 * its own.
 */

import type { Link, LinkContext, LinkHandler, Role, Wanted } from '../link.js';
import type { ConnectionState } from '../types.js';
import { Election } from './election.js';
import { Leader } from './leader.js';
import type { Downward, Lead, Upward } from './messages.js';
import { Reader } from './reader.js';

/** A follower says how far it has read after so many messages. */
const READ_MESSAGES = 64;
/** Or after so many bytes. */
const READ_BYTES = 1024 * 1024;
/** How often a follower asks again while it is not answered, in milliseconds. */
const WANT_AGAIN_MS = 5_000;

export class TabLink implements Link {
  readonly #context: LinkContext;
  readonly #handler: LinkHandler;
  readonly #tab = crypto.randomUUID();
  readonly #reader: Reader;
  readonly #asleep = new AbortController();
  #name: string | undefined;
  #election: Election | undefined;
  /** The group's channel; there while this tab takes part. */
  #group: BroadcastChannel | undefined;
  /** The channel of the leader that this tab follows. */
  #channel: BroadcastChannel | undefined;
  #leader: Leader | undefined;
  /** A connection of its own, where nothing can be shared. */
  #own: Link | undefined;
  #leaveGroup: (() => void) | undefined;
  #wanted: readonly Wanted[] = [];
  #role: Role = 'follower';
  #paused = false;
  #frozen = false;
  #closed = false;
  #reconnectionTime: number;
  #wantedAt = 0;
  #read = { number: 0, bytes: 0 };

  constructor(context: LinkContext, handler: LinkHandler, name: Promise<string>) {
    this.#context = context;
    this.#handler = handler;
    this.#reconnectionTime = context.retry.min;
    this.#reader = new Reader(this.#guarded());
    const { signal } = this.#asleep;
    if (typeof document !== 'undefined') {
      document.addEventListener('freeze', () => this.#freeze(true), { signal });
      document.addEventListener('resume', () => this.#freeze(false), { signal });
    }
    name.then(
      (known) => {
        this.#name = known;
        this.#change();
      },
      (error: unknown) => this.#fallBack(error),
    );
  }

  get role(): Role {
    return this.#role;
  }

  get state(): ConnectionState {
    return this.#own?.state ?? this.#reader.state;
  }

  get position(): string {
    return this.#own?.position ?? this.#reader.place.id;
  }

  get reconnectionTime(): number {
    return (this.#own ?? this.#leader?.link)?.reconnectionTime ?? this.#reconnectionTime;
  }

  want(wanted: readonly Wanted[]): void {
    if (this.#closed) return;
    this.#wanted = wanted;
    this.#reader.want(new Set(wanted.map(({ topic }) => topic)));
    if (this.#own !== undefined) this.#own.want(wanted);
    else if (this.#group === undefined || wanted.length === 0) this.#change();
    else this.#say();
  }

  check(): void {
    this.#own?.check();
    this.#election?.look();
    if (this.#leader !== undefined) this.#leader.link.check();
    else this.#post({ kind: 'check' });
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    this.#own?.pause(paused);
    this.#change();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#asleep.abort();
    this.#own?.close();
    this.#leave();
  }

  #freeze(frozen: boolean): void {
    this.#frozen = frozen;
    this.#change();
  }

  /** Takes part or not, as things are now. */
  #change(): void {
    const away = this.#paused || this.#frozen;
    if (this.#closed || this.#own !== undefined || this.#name === undefined) return;
    if (this.#wanted.length > 0 && !away) {
      if (this.#group === undefined) this.#enter(this.#name);
    } else {
      if (this.#group !== undefined) this.#leave();
      const state = away ? 'paused' : 'idle';
      queueMicrotask(() => {
        if (this.#group === undefined && !this.#closed) this.#reader.tell({ state });
      });
    }
  }

  #enter(name: string): void {
    const { locks } = navigator;
    try {
      this.#group = new BroadcastChannel(name);
    } catch (error) {
      this.#fallBack(error);
      return;
    }
    this.#group.onmessage = ({ data }: MessageEvent<Upward | Lead>) => this.#onGroup(data);
    const there = new Promise<void>((leave) => (this.#leaveGroup = leave));
    locks.request(`${name}/tab/${this.#tab}`, () => there).catch(() => {});
    this.#election = new Election({
      name,
      locks,
      lead: (term) => this.#lead(name, term),
      lost: () => this.#follow(),
      ask: () => this.#post({ kind: 'ask' }),
      beat: () => this.#leader?.beat(),
      failed: () => this.#fallBack(),
    });
    this.#election.enter();
    this.#post({ kind: 'ask' });
    queueMicrotask(() => {
      if (!this.#closed) this.#reader.tell({ state: 'connecting' });
    });
  }

  /** Takes no part any more; the others are told. */
  #leave(): void {
    this.#post({ kind: 'bye', tab: this.#tab });
    this.#leader?.close();
    this.#leader = undefined;
    this.#election?.leave();
    this.#election = undefined;
    this.#leaveGroup?.();
    this.#leaveGroup = undefined;
    this.#group?.close();
    this.#group = undefined;
    this.#channel?.close();
    this.#channel = undefined;
    this.#reader.break();
    this.#setRole('follower');
  }

  #fallBack(error?: unknown): void {
    if (this.#closed || this.#own !== undefined) return;
    this.#context.options.logger?.warn?.('tidings: tabs cannot share a connection here', error);
    this.#leave();
    this.#own = this.#context.connect(this.#handler);
    this.#setRole('own');
    this.#own.want(this.#wanted);
    if (this.#paused) this.#own.pause(true);
  }

  #setRole(role: Role): void {
    if (role === this.#role) return;
    this.#role = role;
    queueMicrotask(() => {
      if (!this.#closed) this.#handler.role?.(role);
    });
  }

  #lead(name: string, term: number): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#reader.break();
    const leader: Leader = new Leader({
      context: this.#context,
      term,
      name,
      tab: this.#tab,
      place: this.#reader.place,
      announce: (lead) => this.#post(lead),
      // Not from within a call of the client, and in order.
      deliver: (message) =>
        queueMicrotask(() => {
          if (this.#leader === leader) this.#hear(term, message);
        }),
      present: () => this.#present(name),
      failed: (error) => {
        if (this.#leader !== leader) return;
        this.#leave();
        this.#wanted = [];
        this.#reader.tell({ state: 'failed', error });
        if (!this.#closed) this.#handler.failed(error);
      },
    });
    this.#leader = leader;
    this.#setRole('leader');
    this.#say();
  }

  #follow(): void {
    this.#leader?.close();
    this.#leader = undefined;
    this.#reader.break();
    this.#reader.tell({ state: 'connecting' });
    this.#setRole('follower');
  }

  async #present(name: string): Promise<ReadonlySet<string>> {
    const prefix = `${name}/tab/`;
    const { held = [] } = await navigator.locks.query().catch((): LockManagerSnapshot => ({}));
    const names = held.map((lock) => lock.name ?? '').filter((lock) => lock.startsWith(prefix));
    return new Set(names.map((lock) => lock.slice(prefix.length)));
  }

  #post(message: Upward | Lead): void {
    this.#group?.postMessage(message);
  }

  /** Says what this tab wants and where it is. */
  #say(): void {
    const election = this.#election;
    if (election === undefined || election.term === 0) return;
    this.#wantedAt = Date.now();
    const topics = this.#wanted.map(({ topic }) => topic);
    const { place } = this.#reader;
    const want = { kind: 'want', tab: this.#tab, term: election.term, topics, place } as const;
    if (this.#leader !== undefined) this.#leader.want(want);
    else this.#post(want);
  }

  /** What was said on the group's channel. */
  #onGroup(message: Upward | Lead): void {
    if (message.kind === 'lead') {
      this.#onLead(message);
      return;
    }
    const leader = this.#leader;
    if (leader === undefined) return;
    if (message.kind === 'ask') leader.beat();
    else if (message.kind === 'check') leader.link.check();
    else if (message.kind === 'bye') leader.bye(message.tab);
    else if (message.term !== this.#election?.term) leader.beat();
    else if (message.kind === 'want') leader.want(message);
    else leader.read(message.tab, message.number, message.bytes);
  }

  #onLead(lead: Lead): void {
    if (!this.#election?.heard(lead.term) || this.#leader !== undefined) return;
    this.#reconnectionTime = lead.reconnectionTime;
    if (this.#channel?.name !== lead.channel) {
      if (this.#reader.place.term !== lead.term) this.#reader.break();
      this.#listen(lead.term, lead.channel);
    } else if (!this.#reader.inStep && Date.now() - this.#wantedAt > WANT_AGAIN_MS) {
      this.#say();
    }
  }

  #listen(term: number, name: string): void {
    this.#channel?.close();
    const channel = new BroadcastChannel(name);
    this.#channel = channel;
    channel.onmessage = ({ data }: MessageEvent<Downward>) => {
      if (this.#channel === channel && this.#election?.heard(term)) this.#hear(term, data);
    };
    this.#say();
  }

  /** What the leader said. */
  #hear(term: number, message: Downward): void {
    if (message.kind === 'welcome') {
      if (message.tab !== this.#tab) return;
      this.#read = { number: message.number, bytes: 0 };
      this.#reader.welcome(term, message);
    } else if (message.kind === 'move') {
      this.#listen(term, message.channel);
    } else if (!this.#reader.read(term, message)) {
      this.#say();
    } else if (this.#leader === undefined) {
      this.#report(term, message.number, message.bytes);
    }
  }

  /** Says from time to time how far this tab has read. */
  #report(term: number, number: number, bytes: number): void {
    const { number: said, bytes: saidBytes } = this.#read;
    if (number - said < READ_MESSAGES && bytes - saidBytes < READ_BYTES) return;
    this.#read = { number, bytes };
    this.#post({ kind: 'read', tab: this.#tab, term, number, bytes });
  }

  /** The client's handler, which hears nothing once the link is closed. */
  #guarded(): LinkHandler {
    const handler = this.#handler;
    const open = () => !this.#closed && this.#own === undefined;
    return {
      joined: (joined) => open() && handler.joined(joined),
      event: (event) => open() && handler.event(event),
      gap: (gap) => open() && handler.gap(gap),
      end: (end) => open() && handler.end(end),
      state: (change) => open() && handler.state(change),
      refused: (topics, error) => open() && handler.refused(topics, error),
      failed: (error) => open() && handler.failed(error),
      done: (topics) => open() && handler.done(topics),
    };
  }
}
