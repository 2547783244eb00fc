// What the clients share: jobs come in on standard input, one line of JSON goes out for each.
import { readFileSync } from 'node:fs';

// Does each job; what it comes to is printed under the name of the job.
export async function run(verbs) {
  for (const job of JSON.parse(readFileSync(0, 'utf8'))) {
    const result = { case: job.case };
    try {
      Object.assign(result, await verbs[job.do](job));
    } catch (error) {
      result.failed = raised(error);
    }
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  // A client may keep a connection open, and the process with it.
  process.exitCode = 0;
}

// An error as the program that called the client sees it.
export function raised(error) {
  return {
    class: error?.constructor?.name ?? typeof error,
    status: error?.status ?? null,
    message: String(error?.message ?? error),
  };
}

// The events of an iterator, at most so many, and what it threw. The iterator stays open.
export async function collect(events, most = Infinity) {
  const seen = [];
  try {
    while (seen.length < most) {
      const { done, value } = await events.next();
      if (done) break;
      seen.push(value);
    }
  } catch (error) {
    return { events: seen, raised: raised(error) };
  }
  return { events: seen, raised: null };
}

// What any HTTP client does to stop an answer.
export async function post(job, path) {
  return (await fetch(job.base + path, { method: 'POST' })).status;
}

// The jobs that are the same for every official client; `begin` gives a stream and a response.
export function streaming(begin) {
  const open = async (job) => {
    const { data, response } = await begin(job);
    return { stream: data, events: data[Symbol.asyncIterator](), headers: response.headers };
  };
  return {
    stream: async (job) => collect((await open(job)).events),
    // The connection is lost; the same request with the same Idempotency-Key comes again.
    repeat: async (job) => {
      const lost = await open(job);
      const first = await collect(lost.events, job.take);
      lost.stream.controller.abort();
      const { events, headers } = await open(job);
      return { first, attached: headers.get('tidings-attached'), ...(await collect(events)) };
    },
    stop: async (job) => {
      const { events, headers } = await open(job);
      const first = (await collect(events, job.take)).events;
      const path = headers.get('tidings-stop');
      const status = [await post(job, path), await post(job, path)];
      return { first, status, ...(await collect(events)) };
    },
    leave: async (job) => {
      const { stream, events } = await open(job);
      const first = await collect(events, job.take);
      stream.controller.abort();
      return first;
    },
  };
}
