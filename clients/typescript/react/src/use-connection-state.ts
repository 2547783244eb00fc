'use client';

// What the connection does, without the blips.

import type { Client, ConnectionState } from '@tidings/client';
import { useCallback, useState, useSyncExternalStore } from 'react';
import { useTidings } from './provider.js';

/** How long a connection may be away before it is shown, in milliseconds, unless given. */
const DELAY_MS = 3_000;

/** The connection, as it should be shown. */
export interface ShownConnection {
  /** The state; one that passes within the delay is never shown. */
  readonly state: ConnectionState;
  /** When the next attempt is made, in milliseconds since 1970; while `waiting`. */
  readonly retryAt: number | undefined;
}

/** States that usually pass by themselves. */
const PASSING: ReadonlySet<ConnectionState> = new Set(['connecting', 'waiting', 'stale']);

const SERVER: ShownConnection = Object.freeze({ state: 'idle', retryAt: undefined });

class Connection {
  shown: ShownConnection;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private listeners = new Set<() => void>();
  private off: (() => void) | undefined;

  constructor(
    readonly client: Client,
    readonly delay: number,
  ) {
    // What is seen first is no blip: it has not been anything else yet.
    this.shown = PASSING.has(client.state) ? SERVER : this.present();
  }

  hold(notify: () => void): () => void {
    this.listeners.add(notify);
    if (this.listeners.size === 1) {
      this.off = this.client.on('state', this.look);
      this.look();
    }
    return () => {
      this.listeners.delete(notify);
      if (this.listeners.size > 0) return;
      this.off?.();
      clearTimeout(this.timer);
      this.timer = undefined;
    };
  }

  private readonly look = (): void => {
    const isPassing = PASSING.has(this.client.state);
    const isShown = PASSING.has(this.shown.state);
    if (!isPassing) {
      clearTimeout(this.timer);
      this.timer = undefined;
    }
    if (!isPassing || isShown || this.delay <= 0) this.show();
    else this.timer ??= setTimeout(this.late, this.delay);
  };

  private readonly late = (): void => {
    this.timer = undefined;
    this.show();
  };

  private show(): void {
    const { state, retryAt } = this.present();
    if (state === this.shown.state && retryAt === this.shown.retryAt) return;
    this.shown = { state, retryAt };
    for (const listener of [...this.listeners]) listener();
  }

  private present(): ShownConnection {
    const { state, retryAt } = this.client;
    return { state, retryAt };
  }
}

/**
 * The state of the client's connection, for a sign on the page. `connecting`, `waiting` and `stale`
 * are shown when they have lasted for `delay` milliseconds (3,000 unless given): a reader should
 * not be told of what is over before it is read.
 */
export function useConnectionState(options: { delay?: number } = {}): ShownConnection {
  const client = useTidings();
  const delay = options.delay ?? DELAY_MS;
  const [held, setHeld] = useState(() => new Connection(client, delay));
  let current = held;
  if (held.client !== client || held.delay !== delay) {
    current = new Connection(client, delay);
    setHeld(current);
  }
  const hold = useCallback((notify: () => void) => current.hold(notify), [current]);
  return useSyncExternalStore(hold, () => current.shown, () => SERVER);
}
