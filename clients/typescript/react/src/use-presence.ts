'use client';

// Who is there, and who is typing.

import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { holdMembers, peekMembers, presenceOf, type Member, type MembersSpec } from './members.js';
import { useTidings } from './provider.js';

/** How long a member counts without renewing, in milliseconds, unless given. */
const PRESENCE_TTL_MS = 30_000;

/** How long somebody counts as typing after a key was pressed, in milliseconds. */
const TYPING_TTL_MS = 5_000;

const NOBODY: readonly never[] = Object.freeze([]);

/** Who this page is. */
export interface Me<D = unknown> {
  /** Its key: the same in all tabs of a user counts once. */
  id: string;
  /** What others are shown. */
  data?: D;
}

/** How presence is kept. */
export interface UsePresenceOptions {
  /** How long a member counts that has vanished, in milliseconds: 30,000. */
  ttl?: number;
}

function useMembers<D>(spec: MembersSpec | undefined): readonly Member<D>[] {
  const client = useTidings();
  const { topic, ttl = 0, history = false } = spec ?? {};
  const hold = useCallback(
    (notify: () => void) =>
      topic === undefined
        ? () => undefined
        : holdMembers(client, { topic, ttl, history }, notify),
    [client, topic, ttl, history],
  );
  const shown = (): readonly Member[] =>
    topic === undefined ? NOBODY : peekMembers(client, topic);
  return useSyncExternalStore(hold, shown, () => NOBODY) as readonly Member<D>[];
}

/**
 * Who follows a topic, oneself included. With `me` this page is one of them while the component is
 * there, which takes the right to publish to `presence/…`; without, it only looks.
 *
 * @returns the members in the order of their ids; it changes identity only when somebody does
 */
export function usePresence<D = unknown>(
  topic: string | null | undefined | false,
  me?: Me<D> | null,
  options: UsePresenceOptions = {},
): readonly Member<D>[] {
  const client = useTidings();
  const ttl = options.ttl ?? PRESENCE_TTL_MS;
  const spec = useMemo(
    () => (topic ? { topic: `presence/${topic}`, ttl, history: true } : undefined),
    [topic, ttl],
  );
  const members = useMembers<D>(spec);
  const id = me?.id;
  const data = JSON.stringify(me?.data ?? null);
  useEffect(() => {
    if (spec === undefined || id === undefined) return;
    presenceOf(client, spec, id).say(JSON.parse(data));
  }, [client, spec, id, data]);
  useEffect(() => {
    if (spec === undefined || id === undefined) return undefined;
    return presenceOf(client, spec, id).hold();
  }, [client, spec, id]);
  return members;
}

/** Who is typing, and how one says that one is. */
export interface Typing<D = unknown> {
  /** Who is, oneself excluded. */
  readonly typing: readonly Member<D>[];
  /** To be called with each key: others see it for five seconds. It is said at most every 2.5 s. */
  readonly type: () => void;
  /** To be called when the message is sent: it is over at once. */
  readonly stop: () => void;
}

/** Who is typing at a topic. Without `me` it only looks. */
export function useTyping<D = unknown>(
  topic: string | null | undefined | false,
  me?: Me<D> | null,
): Typing<D> {
  const client = useTidings();
  const spec = useMemo(
    () => (topic ? { topic: `typing/${topic}`, ttl: TYPING_TTL_MS, history: false } : undefined),
    [topic],
  );
  const members = useMembers<D>(spec);
  const id = me?.id;
  const data = JSON.stringify(me?.data ?? null);
  const saidAt = useRef(-Infinity);
  const type = useCallback(() => {
    if (spec === undefined || id === undefined) return;
    const now = Date.now();
    if (Math.abs(now - saidAt.current) < TYPING_TTL_MS / 2) return;
    saidAt.current = now;
    const mine = presenceOf(client, spec, id);
    mine.say(JSON.parse(data));
    mine.once();
  }, [client, spec, id, data]);
  const stop = useCallback(() => {
    if (spec === undefined || id === undefined || saidAt.current === -Infinity) return;
    saidAt.current = -Infinity;
    presenceOf(client, spec, id).gone();
  }, [client, spec, id]);
  // Whoever leaves does not type any more.
  useEffect(() => stop, [stop]);
  return useMemo(
    () => ({ typing: members.filter((member) => member.id !== id), type, stop }),
    [members, id, type, stop],
  );
}
