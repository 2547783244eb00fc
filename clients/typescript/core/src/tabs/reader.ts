/**
 * One tab's own position in what leaders say. It hands on what is the tab's, and knows what the tab
 * lacks: after a break each topic that had joined is reported anew, with the position up to which
 * the tab has it, and the client reads what is between from history.
 *
 * Promises: no event is handed on twice, none is passed over without a word. The last
 * {@link RECENT} ids are remembered, by which a tab that is ahead of a new leader passes over what
 * it has had.
 */

import type { LinkHandler } from '../link.js';
import type { ConnectionState, StateChange } from '../types.js';
import { toError, toState, type Downward, type Item, type Place } from './messages.js';
import { TopicSet } from './topics.js';

/** How many ids a tab remembers. */
export const RECENT = 1_024;

type Items = Extract<Downward, { kind: 'items' }>;
type Welcome = Extract<Downward, { kind: 'welcome' }>;

export class Reader {
  readonly #handler: LinkHandler;
  readonly #wanted = new Set<string>();
  /** Topics whose events are handed on. */
  readonly #joined = new TopicSet();
  /** Topics that had joined before a break, and up to where the tab has them. */
  readonly #broken = new Map<string, string>();
  /** The last ids, the oldest first. */
  readonly #recent = new Set<string>();
  /** Ids that will come again and were handed on already. */
  #again = new Set<string>();
  #inStep = false;
  #place: Place = { term: 0, number: 0, id: '' };
  #state: ConnectionState = 'idle';

  constructor(handler: LinkHandler) {
    this.#handler = handler;
  }

  get place(): Place {
    return this.#place;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get inStep(): boolean {
    return this.#inStep;
  }

  /** The topics that the client wants from now on. */
  want(topics: ReadonlySet<string>): void {
    for (const topic of this.#wanted) {
      if (topics.has(topic)) continue;
      this.#wanted.delete(topic);
      this.#joined.delete(topic);
      this.#broken.delete(topic);
    }
    for (const topic of topics) this.#wanted.add(topic);
  }

  /** What follows does not go on where this tab is: until it is welcomed it reads nothing. */
  break(): void {
    if (!this.#inStep) return;
    this.#inStep = false;
    this.#again.clear();
    for (const topic of this.#joined) this.#broken.set(topic, this.#place.id);
    this.#joined.clear();
  }

  /** The leader's answer: from here on the tab reads along. */
  welcome(term: number, welcome: Welcome): void {
    const { place } = this;
    if (place.term !== term || place.number !== welcome.number) this.break();
    if (!this.#inStep) {
      this.#inStep = true;
      // What it has had beyond this place comes again.
      this.#again = this.#after(welcome.id);
      if (welcome.id === this.#place.id) this.#again.clear();
      const ahead = this.#again.size > 0;
      const id = ahead ? this.#place.id : welcome.id;
      this.#join(welcome.joined, welcome.id, undefined);
      this.#place = { term, number: welcome.number, id };
      if (!ahead) this.#remember(id);
      this.tell(toState(welcome.state));
      return;
    }
    this.#join(welcome.joined, welcome.id, undefined);
  }

  /** Reads a message; false if one before it has been missed. */
  read(term: number, { number, id, items }: Items): boolean {
    if (!this.#inStep) {
      // What does not depend on a position.
      for (const item of items) {
        if ('state' in item || 'done' in item || 'refused' in item) this.#item(item);
      }
      return true;
    }
    if (term !== this.#place.term || number !== this.#place.number + 1) {
      this.break();
      return false;
    }
    for (const item of items) this.#item(item);
    // A tab that is ahead of the leader stays where it is until the leader has come so far.
    this.#place = { term, number, id: this.#again.size > 0 ? this.#place.id : id };
    return true;
  }

  /** Reports a state, if it is not the one that was reported last. */
  tell(change: StateChange): void {
    if (change.state === this.#state && change.state !== 'waiting') return;
    this.#state = change.state;
    this.#handler.state(change);
  }

  #item(item: Item): void {
    if ('event' in item) {
      if (!this.#reach(item.event.id)) return;
      if (this.#joined.takes(item.event)) this.#handler.event(item.event);
    } else if ('gap' in item) {
      // After a gap ids may come again that are to be handed on again.
      this.#again.clear();
      this.#recent.clear();
      if (item.gap.resumes !== undefined) this.#reach(item.gap.resumes);
      this.#gap(item.gap);
    } else if ('end' in item) {
      if (this.#followed(item.end.topic)) this.#handler.end(item.end);
    } else if ('joined' in item) {
      const { topics, after, since } = item.joined;
      this.#join(topics, after, since);
    } else if ('refused' in item) {
      const topics = this.#mine(item.refused);
      if (topics.length > 0) this.#handler.refused(topics, toError(item.error));
    } else if ('done' in item) {
      const topics = this.#mine(item.done);
      // What came before the end is in history.
      this.#join(topics, '', undefined);
      if (topics.length > 0) this.#handler.done(topics);
    } else {
      this.tell(toState(item.state));
    }
  }

  #gap(gap: Extract<Item, { gap: unknown }>['gap']): void {
    const topics = gap.topics.filter((topic) => this.#followed(topic));
    if (gap.topics.length === 0) this.#handler.gap(gap);
    else if (topics.length > 0) this.#handler.gap({ ...gap, topics });
  }

  #followed(topic: string): boolean {
    return this.#joined.takes({ id: '', time: '', topic });
  }

  #mine(topics: readonly string[]): string[] {
    return topics.filter((topic) => this.#wanted.has(topic));
  }

  /** Topics join, or join anew; `since` is the leader's own break. */
  #join(topics: readonly string[], after: string, since: string | undefined): void {
    // What comes again is passed over, so a topic cannot begin before this tab's own place.
    const ahead = this.#again.size > 0 && this.#recent.has(after);
    const from = ahead ? this.#place.id : after;
    const fresh: string[] = [];
    const anew = new Map<string, string[]>();
    for (const topic of this.#mine(topics)) {
      const had = this.#broken.get(topic) ?? (this.#joined.has(topic) ? since : undefined);
      const joined = this.#joined.has(topic);
      this.#joined.add(topic);
      this.#broken.delete(topic);
      if (had === undefined) {
        if (!joined) fresh.push(topic);
      } else if (had !== after && had !== from) {
        anew.set(had, [...(anew.get(had) ?? []), topic]);
      }
    }
    if (fresh.length > 0) this.#handler.joined({ topics: fresh, after: from, direct: false });
    for (const [had, names] of anew) {
      this.#handler.joined({ topics: names, after: from, direct: false, since: had });
    }
  }

  /** The remembered ids after this one; none if it is not among them. */
  #after(id: string): Set<string> {
    if (!this.#recent.has(id)) return new Set();
    const ids = [...this.#recent];
    return new Set(ids.slice(ids.indexOf(id) + 1));
  }

  /** Reaches an id; false if it was reached before. */
  #reach(id: string): boolean {
    if (this.#again.delete(id)) return false;
    // The leader has come past this tab's place.
    this.#again.clear();
    this.#place = { ...this.#place, id };
    this.#remember(id);
    return true;
  }

  #remember(id: string): void {
    if (id === '' || this.#recent.has(id)) return;
    this.#recent.add(id);
    if (this.#recent.size <= RECENT) return;
    for (const oldest of this.#recent) {
      this.#recent.delete(oldest);
      break;
    }
  }
}
