// What the tests and the pictures of the dashboard have in common: something that happens on the
// server while it is looked at.

/** Publishes so many events to a topic, each with its number. */
export async function publish(server, topic, count = 1, query = '') {
  for (let n = 1; n <= count; n += 1) {
    const body = JSON.stringify({ n, text: `${topic} says ${n}` });
    const response = await fetch(`${server.url}/topics/${topic}${query}`, { method: 'POST', body });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  }
}

/** Follows topics as a plain reader does; returns how to leave. */
export async function follow(server, topic) {
  const left = new AbortController();
  const headers = { accept: 'text/event-stream' };
  const response = await fetch(`${server.url}/topics/${topic}`, { headers, signal: left.signal });
  const reader = response.body.getReader();
  const done = (async () => {
    for (;;) if ((await reader.read()).done) return 'closed';
  })().catch(() => 'left');
  return { name: response.headers.get('tidings-connection').split('.')[0], done, leave: () => left.abort() };
}

/** Asks the scripted model; resolves when the answer has begun, with the link to it. */
export async function ask(server, words = 'Why do streams break?') {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'scripted-story',
      stream: true,
      messages: [{ role: 'user', content: words }],
    }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  void response.text().catch(() => undefined);
  return response.headers.get('link');
}

/** A server with some life in it: topics, readers, events now and then. Returns how to end it. */
export async function liven(server) {
  for (const [topic, count] of [
    ['chat/lobby', 40],
    ['chat/night-shift', 12],
    ['orders/eu', 25],
    ['orders/us', 18],
    ['sensors/harbour/tide', 60],
    ['sensors/harbour/wind', 30],
  ]) {
    await publish(server, topic, count);
  }
  const readers = [];
  for (const topic of ['chat/lobby', 'chat/lobby', 'orders/eu', 'sensors/harbour/tide']) {
    readers.push(await follow(server, topic));
  }
  let running = true;
  const ended = (async () => {
    while (running) {
      await publish(server, 'chat/lobby', 3, '?type=said').catch(() => undefined);
      await publish(server, 'sensors/harbour/tide', 8).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  return async () => {
    running = false;
    await ended;
    for (const reader of readers) reader.leave();
  };
}
