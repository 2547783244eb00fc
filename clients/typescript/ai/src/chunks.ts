// From the events of an answer to the stream of chunks that the AI SDK reads.

import type { UIMessageChunk } from 'ai';
import { abortError } from './answer/error.js';
import { follow, type AnswerSource, type FollowOptions } from './answer/follow.js';
import { parseObject } from './answer/json.js';

/** What a stream is made of. */
export interface ChunksOptions extends Omit<FollowOptions, 'signal' | 'lastEventId'> {
  /** Where the events come from. */
  source: AnswerSource;
  /** The user's: aborting it is stopping. */
  abortSignal: AbortSignal | undefined;
  /** Called once when it aborts before the end. */
  onAbort: () => void;
  /** Called once when the stream is over, however. */
  onEnd: () => void;
}

/**
 * The chunks of an answer. It is read only as fast as the stream is. Cancelling the stream closes
 * the connection and leaves the answer alone.
 */
export function chunks(options: ChunksOptions): ReadableStream<UIMessageChunk> {
  const { abortSignal, onAbort, onEnd } = options;
  const leaving = new AbortController();
  const events = follow(options.source, { ...options, signal: leaving.signal });
  let isOver = false;
  let abort: () => void = () => undefined;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    abortSignal?.removeEventListener('abort', abort);
    leaving.abort();
    onEnd();
  };
  return new ReadableStream<UIMessageChunk>({
    start(controller) {
      abort = () => {
        if (isOver) return;
        onAbort();
        end();
        controller.error(abortError());
      };
      if (abortSignal?.aborted === true) abort();
      else abortSignal?.addEventListener('abort', abort, { once: true });
    },
    async pull(controller) {
      try {
        for (;;) {
          const { done, value } = await events.next();
          if (isOver) return;
          if (done === true) {
            end();
            controller.close();
            return;
          }
          const chunk = chunkOf(value.data);
          if (chunk === undefined) continue;
          controller.enqueue(chunk);
          return;
        }
      } catch (error) {
        if (isOver) return;
        end();
        controller.error(error);
      }
    },
    cancel() {
      end();
    },
  });
}

/** The server says only chunks that versions 5, 6 and 7 of the SDK know. */
function chunkOf(data: string): UIMessageChunk | undefined {
  const record = parseObject(data);
  if (record === undefined || typeof record['type'] !== 'string') return undefined;
  return record as unknown as UIMessageChunk;
}
