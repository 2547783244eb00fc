// EventSource, as browsers have it: it follows the topic of an answer, over a network that breaks
// again and again, and comes back by itself.
import { EventSource } from 'eventsource';
import { run } from './jobs.mjs';

// What an answer's topic says besides the answer: that it is over.
const NAMES = ['message', 'snapshot', 'end'];

await run({
  follow: async (job) => {
    const asked = await fetch(`${job.base}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'scripted',
        stream: true,
        messages: [{ role: 'user', content: job.text }],
      }),
    });
    const path = asked.headers.get('link').match(/<([^>]+)>/)[1];
    await asked.body.cancel();
    const source = new EventSource(`${job.via}${path}${job.from}`);
    const events = [];
    let connections = 0;
    source.onopen = () => {
      connections += 1;
    };
    for (const name of NAMES) {
      source.addEventListener(name, ({ type, data, lastEventId }) => {
        events.push({ type, data, id: lastEventId });
      });
    }
    // Its wait before it comes back does not keep the process alive.
    const alive = setInterval(() => {}, 1_000);
    // It is closed by nobody here: the server tells it that nothing more will come.
    await new Promise((resolve) => {
      source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) resolve();
      };
    });
    clearInterval(alive);
    return { events, connections };
  },
});
