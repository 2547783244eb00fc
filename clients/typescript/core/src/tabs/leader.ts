/**
 * The leader's side: one connection for what all tabs want together, handed on to all.
 *
 * Promises: what is sent on the leader's channel is in the connection's order and numbered. A tab
 * that does not read is left behind: once it is {@link BEHIND_MESSAGES} messages or
 * {@link BEHIND_BYTES} bytes back, the others move to another channel, and it finds its way from
 * history when it runs again. So what waits for a tab is bounded.
 */

import type { Joined, Link, LinkContext, LinkHandler, Wanted } from '../link.js';
import type { TidingsError } from '../errors.js';
import type { StateChange } from '../types.js';
import {
  MESSAGE_BYTES, MESSAGE_ITEMS, plainError, plainState, size,
  type Downward, type Item, type Lead, type PlainState, type Place, type Upward,
} from './messages.js';

/** How long a new leader waits for the other tabs to say where they are, in milliseconds. */
export const GATHER_MS = 150;
/** How far behind a tab may be before it is left behind, in messages. */
export const BEHIND_MESSAGES = 4_096;
/** How far behind a tab may be before it is left behind, in bytes. */
export const BEHIND_BYTES = 16 * 1024 * 1024;
/** How often the leader looks which tabs are still there, in milliseconds. */
export const ROLL_CALL_MS = 10_000;
/** Tabs of one group; more are not taken in, and ask again later. */
export const TABS_MAX = 512;

type Want = Extract<Upward, { kind: 'want' }>;

interface Follower {
  topics: readonly string[];
  /** The last message that it has read, and the bytes up to there. */
  number: number;
  bytes: number;
  /** Was left behind: is not waited for, until it asks again. */
  behind: boolean;
}

/** What a leader needs of its tab. */
export interface LeaderOptions {
  readonly context: LinkContext;
  readonly term: number;
  /** The name of the group's channel. */
  readonly name: string;
  /** The leader's own tab. */
  readonly tab: string;
  /** Where that tab is. */
  readonly place: Place;
  /** Says something on the group's channel. */
  announce(lead: Lead): void;
  /** Hands what the leader says to its own tab. */
  deliver(message: Downward): void;
  /** The tabs that are there. */
  present(): Promise<ReadonlySet<string>>;
  /** The connection has failed for good. */
  failed(error: TidingsError): void;
}

export class Leader {
  readonly #options: LeaderOptions;
  readonly #link: Link;
  readonly #tabs = new Map<string, Follower>();
  readonly #joined = new Set<string>();
  #channel: BroadcastChannel;
  #channels = 0;
  /** Where the connection begins: the farthest place of all tabs. */
  #base: Place;
  #gathering = true;
  /** Whether it begins with its own tab's topics: all together were refused. */
  #alone = false;
  #begun = false;
  #scheduled = false;
  #closed = false;
  #number = 0;
  #bytes = 0;
  #pending: Item[] = [];
  #pendingBytes = 0;
  #state: PlainState = { state: 'connecting' };
  #rollCallAt = Date.now() + ROLL_CALL_MS;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#base = options.place;
    this.#channel = this.#open();
    this.#link = options.context.connect(this.#handler());
    void this.#gather();
  }

  get link(): Link {
    return this.#link;
  }

  /** Says that it is there; from time to time, looks who else is. */
  beat(): void {
    const { term } = this.#options;
    const { reconnectionTime } = this.#link;
    const channel = this.#channel.name;
    this.#options.announce({ kind: 'lead', term, channel, reconnectionTime });
    if (Date.now() < this.#rollCallAt) return;
    this.#rollCallAt = Date.now() + ROLL_CALL_MS;
    void this.#rollCall();
  }

  /** A tab says what it wants. */
  want(want: Want): void {
    if (this.#closed) return;
    if (!this.#tabs.has(want.tab) && this.#tabs.size >= TABS_MAX) return;
    this.#flush();
    const { topics } = want;
    this.#tabs.set(want.tab, { topics, number: this.#number, bytes: this.#bytes, behind: false });
    if (!this.#begun && isFarther(want.place, this.#base)) this.#base = want.place;
    this.#schedule();
    if (this.#begun) this.#welcome(want.tab, topics);
  }

  /** A tab has read so far. */
  read(tab: string, number: number, bytes: number): void {
    const follower = this.#tabs.get(tab);
    if (follower !== undefined) Object.assign(follower, { number, bytes });
  }

  /** A tab is gone. */
  bye(tab: string): void {
    if (this.#tabs.delete(tab)) this.#schedule();
  }

  /** Ends the connection; nothing is said afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#link.close();
    this.#channel.close();
  }

  #open(): BroadcastChannel {
    const { name, term } = this.#options;
    this.#channels += 1;
    return new BroadcastChannel(`${name}/${term}/${this.#channels}`);
  }

  /** Waits until the tabs that are there have said where they are, and connects. */
  async #gather(): Promise<void> {
    const { clock } = this.#options.context;
    this.beat();
    const deadline = clock.now() + GATHER_MS;
    const present = await this.#options.present();
    const missing = () => [...present].some((tab) => !this.#tabs.has(tab));
    while (!this.#closed && missing() && clock.now() < deadline) {
      await new Promise<void>((done) => clock.setTimeout(done, GATHER_MS / 10));
    }
    this.#gathering = false;
    this.#schedule();
  }

  async #rollCall(): Promise<void> {
    const present = await this.#options.present();
    for (const tab of this.#tabs.keys()) {
      if (!present.has(tab) && tab !== this.#options.tab) this.bye(tab);
    }
  }

  /** Tells the connection what all want together, once for all that changes at a time. */
  #schedule(): void {
    if (this.#scheduled || this.#gathering) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      const topics = this.#topics();
      for (const topic of this.#joined) if (!topics.has(topic)) this.#joined.delete(topic);
      // Until the connection is there, everything begins where the last leader was heard last.
      const after = this.#begun ? '' : this.#base.id;
      const wanted = (topic: string): Wanted =>
        after === '' ? { topic } : { topic, start: { after } };
      this.#link.want([...topics].map(wanted));
    });
  }

  /** What is wanted together. */
  #topics(): Set<string> {
    const own = this.#tabs.get(this.#options.tab);
    const tabs = this.#alone ? [own] : [...this.#tabs.values()];
    return new Set(tabs.flatMap((tab) => tab?.topics ?? []));
  }

  /**
   * What one tab wants must not be the end of the others: refused together, the leader begins with
   * what its own tab wants, and adds the rest, of which each can be refused by itself.
   */
  #onFailed(error: TidingsError): void {
    const all = this.#topics().size;
    if (this.#begun || this.#alone) return this.#options.failed(error);
    this.#alone = true;
    if (this.#topics().size === all) return this.#options.failed(error);
    this.#schedule();
  }

  #handler(): LinkHandler {
    return {
      joined: (joined) => this.#onJoined(joined),
      event: (event) => this.#push({ event }),
      gap: (gap) => this.#push({ gap }),
      end: (end) => this.#push({ end }),
      state: (change) => this.#onState(change),
      refused: (refused, error) => this.#push({ refused, error: plainError(error) }),
      done: (done) => this.#push({ done }),
      failed: (error) => this.#onFailed(error),
    };
  }

  #onJoined(joined: Joined): void {
    if (this.#begun) {
      for (const topic of joined.topics) this.#joined.add(topic);
      this.#push({ joined });
      return;
    }
    this.#begun = true;
    if (this.#alone) {
      this.#alone = false;
      this.#schedule();
    }
    this.#flush();
    for (const topic of joined.topics) this.#joined.add(topic);
    for (const [tab, { topics }] of this.#tabs) this.#welcome(tab, topics);
  }

  #onState(change: StateChange): void {
    // What ends this tab's link is not the end of the others': the next one leads.
    if (change.state === 'failed' || change.state === 'closed' || change.state === 'idle') return;
    this.#state = plainState(change);
    this.#push({ state: this.#state });
  }

  #welcome(tab: string, topics: readonly string[]): void {
    const joined = topics.filter((topic) => this.#joined.has(topic));
    const { position: id } = this.#link;
    const [number, state] = [this.#number, this.#state];
    this.#say({ kind: 'welcome', tab, number, id, joined, state });
  }

  #push(item: Item): void {
    if (this.#pending.length === 0) queueMicrotask(() => this.#flush());
    const bytes = size(item);
    if (this.#pendingBytes + bytes > MESSAGE_BYTES) this.#flush();
    this.#pending.push(item);
    this.#pendingBytes += bytes;
    if (this.#pending.length >= MESSAGE_ITEMS) this.#flush();
  }

  #flush(): void {
    if (this.#pending.length === 0 || this.#closed) return;
    const items = this.#pending;
    this.#pending = [];
    this.#bytes += this.#pendingBytes;
    this.#pendingBytes = 0;
    this.#number += 1;
    // All that the connection has brought is said, so its position is that of the message.
    const { position: id } = this.#link;
    this.#say({ kind: 'items', number: this.#number, bytes: this.#bytes, id, items });
    this.#leaveBehind();
  }

  #say(message: Downward): void {
    if (this.#closed) return;
    if (this.#tabs.size > 1) this.#channel.postMessage(message);
    this.#options.deliver(message);
  }

  /** Moves to another channel if a tab does not read. */
  #leaveBehind(): void {
    let move = false;
    for (const [tab, follower] of this.#tabs) {
      if (follower.behind || tab === this.#options.tab) continue;
      const { number, bytes } = follower;
      if (this.#number - number <= BEHIND_MESSAGES && this.#bytes - bytes <= BEHIND_BYTES) continue;
      follower.behind = true;
      move = true;
    }
    if (!move) return;
    const before = this.#channel;
    this.#channel = this.#open();
    before.postMessage({ kind: 'move', channel: this.#channel.name } satisfies Downward);
    before.close();
    this.beat();
  }
}

/** Whether a place is farther than another. */
function isFarther(place: Place, than: Place): boolean {
  if (place.id === '') return false;
  return place.term > than.term || (place.term === than.term && place.number > than.number);
}
