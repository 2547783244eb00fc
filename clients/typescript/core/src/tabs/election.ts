// Which tab leads: the one that holds a Web Lock. The browser gives the lock on when its holder
// closes or crashes. A holder that is stopped (frozen, a dialog, a debugger) keeps it, so silence
// decides as well: who is not answered takes the lock away, and the old leader learns of it when it
// runs again.
//
// Promises: a tab leads only while the lock is its own; of two tabs that believe that they lead,
// the others follow the one with the greater term. Time is read, never counted in ticks: a tab that
// slept asks before it judges.

/** How often a leader says that it is there, in milliseconds. */
export const BEAT_MS = 1_000;
/** How long a leader may be silent before it is asked, in milliseconds. */
export const SILENCE_MS = 3_000;
/** How often a follower looks, in milliseconds; also the time between two questions. */
export const LOOK_MS = 500;
/** How many questions in a row must be without an answer before a leader counts as stopped. */
export const QUESTIONS = 3;
/** Up to so many milliseconds later a tab takes over, so that not all do at once. */
export const TAKEOVER_SPREAD_MS = 400;

/** What an election needs from outside. */
export interface ElectionOptions {
  /** The name of the lock. */
  name: string;
  locks: LockManager;
  /** This tab leads from now on, under this term, which is greater than any heard. */
  lead(term: number): void;
  /** This tab leads no longer: the lock was taken away. */
  lost(): void;
  /** To be sent to the leader, who answers with a beat. */
  ask(): void;
  /** To be sent to all, while leading. */
  beat(): void;
  /** There are no locks for this page (an opaque origin, for one): nobody is elected. */
  failed(): void;
}

/** One tab's part in the election. */
export class Election {
  readonly #options: ElectionOptions;
  /** The greatest term that was heard of. */
  #term = 0;
  #heard = Date.now();
  #questions = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Leaves the queue for the lock. */
  #queue: AbortController | undefined;
  /** Gives the lock back. */
  #release: (() => void) | undefined;
  #taking: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ElectionOptions) {
    this.#options = options;
  }

  get leading(): boolean {
    return this.#release !== undefined;
  }

  /** The term of the leader that this tab follows, or its own. */
  get term(): number {
    return this.#term;
  }

  /** Takes part, from now on. */
  enter(): void {
    if (this.#queue !== undefined || this.leading) return;
    this.#heard = Date.now();
    this.#questions = 0;
    this.#timer ??= setInterval(() => this.look(), LOOK_MS);
    this.#request();
  }

  /** Takes no part any more, until `enter`. A leader's lock goes to the next tab. */
  leave(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#cancelTaking();
    this.#queue?.abort();
    this.#queue = undefined;
    this.#release?.();
    this.#release = undefined;
  }

  /** A leader of this term was heard; false if it is not the one to follow. */
  heard(term: number): boolean {
    if (term < this.#term) return false;
    if (this.leading && term > this.#term) {
      // The lock says who leads. If it is still this tab's, it comes back under a greater term.
      this.#term = term;
      this.#stepDown();
      this.#request();
    }
    this.#term = term;
    this.#heard = Date.now();
    this.#questions = 0;
    this.#cancelTaking();
    return true;
  }

  /** Looks whether the leader is still there; also to be called when the page wakes up. */
  look(): void {
    const now = Date.now();
    if (this.leading) {
      if (now - this.#heard >= BEAT_MS) {
        this.#heard = now;
        this.#options.beat();
      }
      return;
    }
    if (Math.abs(now - this.#heard) < SILENCE_MS || this.#taking !== undefined) return;
    if (this.#questions < QUESTIONS) {
      this.#questions += 1;
      this.#options.ask();
      return;
    }
    this.#taking = setTimeout(() => this.#take(), Math.random() * TAKEOVER_SPREAD_MS);
  }

  #cancelTaking(): void {
    clearTimeout(this.#taking);
    this.#taking = undefined;
  }

  /** Waits in the queue for the lock. */
  #request(): void {
    const queue = new AbortController();
    this.#queue = queue;
    this.#hold({ signal: queue.signal }, queue);
  }

  /** Takes the lock away from whoever has it. */
  #take(): void {
    this.#taking = undefined;
    this.#queue?.abort();
    const queue = new AbortController();
    this.#queue = queue;
    this.#hold({ steal: true }, queue);
  }

  #hold(options: LockOptions, queue: AbortController): void {
    const held = () => {
      // The signal does not reach a request that steals, nor one that is being granted.
      if (queue.signal.aborted) return undefined;
      return new Promise<void>((release) => {
        this.#release = release;
        this.#term = Math.max(this.#term + 1, Date.now());
        this.#heard = Date.now();
        this.#cancelTaking();
        this.#options.lead(this.#term);
      });
    };
    this.#options.locks.request(this.#options.name, options, held).catch((error: unknown) => {
      if (this.#queue !== queue || queue.signal.aborted) return;
      if (!(error instanceof DOMException && error.name === 'AbortError')) {
        this.leave();
        this.#options.failed();
        return;
      }
      // The lock was taken away.
      if (this.leading) this.#stepDown();
      this.#heard = Date.now();
      this.#request();
    });
  }

  #stepDown(): void {
    this.#queue?.abort();
    this.#release?.();
    this.#release = undefined;
    this.#options.lost();
  }
}
