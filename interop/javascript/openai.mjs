// The official OpenAI client: chat completions and responses.
import OpenAI from 'openai';
import { collect, run, streaming } from './jobs.mjs';

const client = (job) =>
  new OpenAI({ baseURL: `${job.base}/v1`, apiKey: 'key', maxRetries: job.retries });

const resource = (job) =>
  job.api === 'chat' ? client(job).chat.completions : client(job).responses;

function asked(job) {
  const said = [{ role: 'user', content: job.text }];
  return { model: 'scripted', [job.api === 'chat' ? 'messages' : 'input']: said, ...job.more };
}

const begin = (job) =>
  resource(job).create({ ...asked(job), stream: true }, { headers: job.headers }).withResponse();

const open = async (job) => (await begin(job)).data;

await run({
  ...streaming(begin),
  whole: async (job) => ({ object: await resource(job).create(asked(job)) }),
  helper: async (job) => {
    const events = resource(job).stream(asked(job));
    const kinds = [];
    for await (const event of events) kinds.push(event.type ?? event.object);
    const chat = job.api === 'chat';
    const final = await (chat ? events.finalChatCompletion() : events.finalResponse());
    return { kinds, final };
  },
  // The connection is lost; the rest is fetched by the number of the last event.
  retrieve: async (job) => {
    const stream = await open(job);
    const first = (await collect(stream[Symbol.asyncIterator](), job.take)).events;
    stream.controller.abort();
    const [answer, last] = [first[0].response.id, first.at(-1).sequence_number];
    const { responses } = client(job);
    const again = await responses.retrieve(answer, { stream: true, starting_after: last });
    const rest = await collect(again[Symbol.asyncIterator]());
    const { status } = await responses.retrieve(answer);
    return { events: [...first, ...rest.events], raised: rest.raised, status };
  },
  cancel: async (job) => {
    const events = (await open(job))[Symbol.asyncIterator]();
    const first = (await collect(events, job.take)).events;
    const { responses } = client(job);
    const answer = first[0].response.id;
    const status = [(await responses.cancel(answer)).status, (await responses.cancel(answer)).status];
    return { first, status, ...(await collect(events)) };
  },
});
