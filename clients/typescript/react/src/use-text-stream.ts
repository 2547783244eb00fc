'use client';

// The answer of a model as text that grows.

import type { AnswerHandle, AnswerOptions } from '@tidings/ai/answer';
import { useCallback, useMemo, useSyncExternalStore } from 'react';
import { useOptionalTidings } from './provider.js';
import { NO_TEXT, holdText, peekText, textName, type Answer, type TextSnapshot } from './text-feed.js';
import { useLatestRef } from './use-feed.js';

/** How a text is followed; see `AnswerOptions` of `@tidings/ai`. */
export type UseTextStreamOptions = Omit<
  AnswerOptions,
  'signal' | 'lastEventId' | 'onConnection'
>;

/** A text and what can be done about it. */
export interface TextStream extends TextSnapshot {
  /**
   * Stops the answer itself, for everybody who reads it. It rejects if it is not known where
   * (a topic, or a URL without its `stop`), or if the server refuses.
   */
  readonly stop: () => Promise<void>;
  /** Goes on after an error, where it was; otherwise nothing. */
  readonly resume: () => void;
}

/**
 * Follows an answer of the relay: its text grows at most once a frame, over cuts and reloads.
 *
 * @param answer the response to the request that began it; or what `answerOf` makes of that, to keep
 *   it; or the URL in its `Link`; or the name of a topic of the provider's server whose events are
 *   pieces of text. Nothing follows nothing.
 */
export function useTextStream(
  answer: Answer | null | undefined | false,
  options: UseTextStreamOptions = {},
): TextStream {
  const server = useOptionalTidings()?.url;
  const found = locate(answer, server);
  const asked: UseTextStreamOptions =
    found !== undefined && isTopic(answer) ? { from: 'earliest', ...options } : options;
  const name = found === undefined ? undefined : textName(found, asked);
  const latest = useLatestRef({ found, asked });
  const hold = useCallback(
    (notify: () => void) => {
      const { found, asked } = latest.current;
      if (name === undefined || found === undefined) return () => undefined;
      return holdText(name, found, asked, notify);
    },
    [name, latest],
  );
  const shown = (): TextSnapshot =>
    name === undefined ? NO_TEXT : (peekText(name)?.snapshot ?? NO_TEXT);
  const snapshot = useSyncExternalStore(hold, shown, () => NO_TEXT);
  const stop = useCallback(async () => {
    if (name !== undefined) await peekText(name)?.stop();
  }, [name]);
  const resume = useCallback(() => {
    if (name !== undefined) peekText(name)?.resume();
  }, [name]);
  return useMemo(() => ({ ...snapshot, stop, resume }), [snapshot, stop, resume]);
}

function isTopic(answer: unknown): boolean {
  return typeof answer === 'string' && !answer.startsWith('/') && !answer.includes('://');
}

/** Where the answer is, with paths and topics on the provider's server. */
function locate(
  answer: Answer | null | undefined | false,
  server: string | undefined,
): Answer | undefined {
  if (answer === null || answer === undefined || answer === false) return undefined;
  if (answer instanceof URL || answer instanceof Response) return answer;
  if (typeof answer !== 'string') return handleOn(answer, server);
  if (!isTopic(answer)) return on(server, answer);
  const path = answer.split('/').map(encodeURIComponent).join('/');
  return on(server, `/topics/${path}`);
}

function handleOn(handle: AnswerHandle, server: string | undefined): AnswerHandle {
  const { stop } = handle;
  const url = on(server, handle.url);
  return stop === undefined ? { ...handle, url } : { ...handle, url, stop: on(server, stop) };
}

/** A path on the server; its own query, a token, is for topics and not for answers. */
function on(server: string | undefined, path: string): string {
  if (server === undefined || !path.startsWith('/')) return path;
  return server.replace(/[?#].*$/, '').replace(/\/$/, '') + path;
}
