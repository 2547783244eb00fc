/** Reads history for a subscription, up to exactly where the stream goes on. */

import type { Reading } from './intake.js';
import type { Requests } from './requests.js';
import type { WireEvent } from './types.js';

/** Reads pages up to the event that is held back, or through a position. */
export async function read(requests: Requests, reading: Reading): Promise<void> {
  const { job, pageMax } = reading;
  let { query } = job;
  const end = () => reading.before() || job.through;
  const ask = (bound: string, limit: number) =>
    requests.page(
      job.topics,
      [...query, ...(bound ? [['before', bound] as [string, string]] : []), ['limit', `${limit}`]],
      reading.signal,
    );
  const take = (events: readonly WireEvent[]) => {
    for (const event of events) {
      reading.accept({ event });
      const { end, id, topic } = event;
      if (end && job.topics.includes(topic)) reading.accept({ end: { id, topic, reason: end } });
    }
  };
  for (;;) {
    await reading.room(pageMax);
    const bound = end();
    const page = await ask(bound, pageMax);
    if (reading.isOver()) return;
    if (page.gap) reading.accept({ gap: page.gap });
    take(page.events);
    query = [['lastEventId', page.next]];
    if (page.more || bound !== end()) continue;
    if (bound !== job.through || !bound) return;
    // The page ends before the position: is the next event the one that is there?
    const [last] = (await ask('', 1)).events;
    if (reading.isOver()) return;
    if (last?.id === bound) take([last]);
    if (bound === job.through && !reading.before()) return;
    query = [['lastEventId', bound]];
  }
}
