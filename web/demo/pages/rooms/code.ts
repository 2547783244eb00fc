// The page in four languages, without its looks.

import type { Listings } from '../../shell/listing';

const origin = location.origin;

export const roomCode: Listings = {
  typescript: `import { createClient, json } from '@tidings/client';

const client = createClient({ url: '${origin}' });
const room = client.subscribe('demo/rooms/*', { history: 60, parse: json });
room.on('event', (event) => show(event.topic, event.data));
room.on('gap', (gap) => reload(gap.topics));   // never silent

// The same key however often it is sent: stored once.
const message = { name: 'Otter', text: 'Hello', key: crypto.randomUUID() };
showPending(message);
await client.publish('demo/rooms/lobby', message, { idempotencyKey: message.key });

// Older messages, backwards from the oldest that is shown.
const page = await client.history('demo/rooms/lobby', { before: oldest.id, limit: 100 });

// Presence: an event that expires, said again while one is there.
await client.publish('presence/rooms', { name: 'Otter' }, { key: 'me', ttl: '15s' });
`,
  react: `import { TidingsProvider, useSubscription } from '@tidings/react';

function Room({ name }: { name: string }) {
  const { events, state } = useSubscription(\`demo/rooms/\${name}\`, { history: 60 });
  return (
    <>
      <Pill state={state} />
      <ol>{events.map((event) => <Message key={event.id} {...event.data} />)}</ol>
    </>
  );
}

root.render(
  <TidingsProvider url="${origin}">
    <Room name="lobby" />
  </TidingsProvider>,
);
`,
  python: `import httpx, json, uuid

# A bot in three lines of work: read the room, answer.
with httpx.stream("GET", "${origin}/topics/demo/rooms/lobby", timeout=None) as stream:
    for line in stream.iter_lines():
        if line.startswith("data:") and "hello bot" in line.lower():
            answer = {"author": "bot", "name": "Bot", "hue": 90, "number": 0,
                      "text": "Hello!", "key": str(uuid.uuid4())}
            httpx.post("${origin}/topics/demo/rooms/lobby", content=json.dumps(answer),
                       headers={"Idempotency-Key": answer["key"]})
`,
  curl: `# Follow all rooms on one connection, beginning with the last twenty messages.
curl -N '${origin}/events?pattern=demo/rooms/*&last=20&envelope'
# Say something; repeat the command, and it is stored once ("duplicate":true).
curl ${origin}/topics/demo/rooms/lobby -H 'Idempotency-Key: 4711' \\
  -d '{"author":"curl","name":"curl","hue":140,"number":0,"key":"4711","text":"Hello from a shell"}'
# Read backwards.
curl -H 'Accept: application/json' '${origin}/topics/demo/rooms/lobby?limit=5'
`,
};
