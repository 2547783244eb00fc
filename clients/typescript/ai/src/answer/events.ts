// The events of a response's body, as its bytes come.

import { Parser } from '@tidings/client/parser';

/** One event of an answer, as it was on the wire. */
export interface AnswerEvent {
  /** Its id: a position in the server's log, opaque. Empty before the first one with an id. */
  id: string;
  /** Its type, `message` if it has none. */
  type: string;
  /** Its data. */
  data: string;
}

/** Largest event that is taken, in bytes: a snapshot holds the whole answer so far. */
const MAX_EVENT_BYTES = 32 << 20;

/** Reads chunks of bytes into events, by the rules of WHATWG HTML, section 9.2. */
export function createEventReader(): (chunk: Uint8Array) => AnswerEvent[] {
  let events: AnswerEvent[] = [];
  const parser = new Parser(
    { onEvent: ({ lastEventId: id, type, data }) => void events.push({ id, type, data }) },
    { maxEventBytes: MAX_EVENT_BYTES },
  );
  return (chunk) => {
    events = [];
    parser.feed(chunk);
    return events;
  };
}
