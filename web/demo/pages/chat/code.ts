// The page in four languages, without its looks.

import type { Listings } from '../../shell/listing';

const origin = location.origin;

export const chatCode: Listings = {
  typescript: `import OpenAI from 'openai';

// Unmodified. Only the address is ours.
const client = new OpenAI({ baseURL: '${origin}/v1', apiKey: 'any' });
const stream = await client.responses.create({
  model: 'scripted-story', input: 'Hello', stream: true,
});
let id = '', last = -1;
try {
  for await (const event of stream) {
    if (event.type === 'response.created') id = event.response.id;
    last = event.sequence_number;
    if (event.type === 'response.output_text.delta') write(event.delta);
  }
} catch {
  // Cut off: exactly the rest, over any upstream, on any device.
  const rest = await client.responses.retrieve(id, { stream: true, starting_after: last });
  for await (const event of rest) {
    if (event.type === 'response.output_text.delta') write(event.delta);
  }
}
`,
  react: `import { useChat } from '@ai-sdk/react';
import { TidingsChatTransport } from '@tidings/ai';

const transport = new TidingsChatTransport({ api: '/api/chat' });

export function Chat({ id }: { id: string }) {
  // \`resume\`: after a reload it goes on with the answer that is running.
  const { messages, sendMessage, stop } = useChat({ id, transport, resume: true });
  return (
    <>
      {messages.map((message) => <Message key={message.id} message={message} />)}
      <button onClick={stop}>Stop</button>
      <Composer onSend={(text) => sendMessage({ text })} />
    </>
  );
}
`,
  python: `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="any")   # unmodified
stream = client.responses.create(model="scripted-story", input="Hello", stream=True)

response_id, last = None, -1
try:
    for event in stream:
        if event.type == "response.created":
            response_id = event.response.id
        last = event.sequence_number
except Exception:
    # Cut off: exactly the rest, maybe on another machine.
    rest = client.responses.retrieve(response_id, stream=True, starting_after=last)
    for event in rest:
        print(event)

client.responses.cancel(response_id)   # stops the model, keeps what was said
`,
  curl: `# Ask. The head says where the answer lives (Link) and how to stop it (Tidings-Stop).
curl -sN -D head ${origin}/v1/chat/completions \\
  -H 'Content-Type: application/json' \\
  -d '{"model":"scripted-story","stream":true,
       "messages":[{"role":"user","content":"Hello"}]}'
# Press Ctrl-C in the middle; the model goes on. Then, after the last id that was printed:
curl -sN "${origin}$(sed -n 's/^link: <\\(.*\\)>;.*/\\1/p' head)" -H 'Last-Event-ID: 80aqvuid-17'
# From anywhere, without an id: a snapshot, and then what comes.
curl -sN "${origin}$(sed -n 's/^link: <\\(.*\\)>;.*/\\1/p' head)"
# Stop it, for everybody.
curl -X POST "${origin}$(sed -n 's/^tidings-stop: \\(.*\\)\\r/\\1/p' head)"
`,
};
