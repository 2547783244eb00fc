// The official Anthropic client: messages.
import Anthropic from '@anthropic-ai/sdk';
import { run, streaming } from './jobs.mjs';

const client = (job) =>
  new Anthropic({ baseURL: job.base, apiKey: 'key', maxRetries: job.retries });

function asked(job) {
  const messages = [{ role: 'user', content: job.text }];
  return { model: 'scripted', max_tokens: 256, messages, ...job.more };
}

await run({
  ...streaming((job) => {
    const body = { ...asked(job), stream: true };
    return client(job).messages.create(body, { headers: job.headers }).withResponse();
  }),
  whole: async (job) => ({ object: await client(job).messages.create(asked(job)) }),
  helper: async (job) => {
    const events = client(job).messages.stream(asked(job));
    const kinds = [];
    for await (const event of events) kinds.push(event.type);
    return { kinds, final: await events.finalMessage() };
  },
});
