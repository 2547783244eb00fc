// What is known of the chats of this page, across transports: a component that makes its transport
// anew with each render still has one chat.

import type { AnswerHandle } from './answer/handle.js';

/** How long a new question waits for the stop of the last one, in milliseconds. */
const SETTLE_MS = 5_000;

/** Chats that are known at a time; the one that was used least recently goes first. */
const CHATS_MAX = 1_000;

const chats = new Map<string, Chat>();

/** The chat of this id at this API. */
export function chatOf(api: string, id: string): Chat {
  const name = `${api} ${id}`;
  const chat = chats.get(name) ?? new Chat(id);
  chats.delete(name);
  chats.set(name, chat);
  if (chats.size > CHATS_MAX) {
    for (const oldest of chats.keys()) {
      chats.delete(oldest);
      break;
    }
  }
  return chat;
}

/** One chat. */
export class Chat {
  /** The answer that is being read. */
  handle: AnswerHandle | undefined;
  private stops: Promise<unknown> = Promise.resolve();
  private due: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly id: string) {}

  /** Remembers that a stop is on its way. */
  async stopping(stop: Promise<unknown>): Promise<void> {
    this.stops = Promise.allSettled([this.stops, stop]).then(() => undefined);
    await stop;
  }

  /** Waits for the stops that are on their way, so that they cannot hit what comes after them. */
  async settled(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, SETTLE_MS)));
    await Promise.race([this.stops, late]);
    clearTimeout(timer);
  }

  /** Stops, unless the same answer is resumed anew in the same turn of the event loop. */
  stopUnlessTakenOver(stop: () => Promise<void>): void {
    clearTimeout(this.due);
    this.due = setTimeout(() => void this.stopping(stop()).catch(() => undefined), 0);
  }

  /** The answer is resumed anew. */
  takenOver(): void {
    clearTimeout(this.due);
  }
}
