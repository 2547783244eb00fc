// The page in four languages, without its looks.

import type { Listings } from '../../shell/listing';

const origin = location.origin;
const ws = origin.replace(/^http/, 'ws');

export const compareCode: Listings = {
  typescript: `// Server-Sent Events: what every browser has. It reconnects and resumes by itself.
const stream = new EventSource('${origin}/topics/demo/compare');
stream.onmessage = (event) => show(event.lastEventId, event.data);

// WebSocket: the same topic. Reconnecting and resuming are ours to write.
let last = '';
function open() {
  const socket = new WebSocket('${ws}/ws', 'tidings.v1.json');
  socket.onopen = () => socket.send(JSON.stringify({
    op: 'subscribe', sub: 'a', topics: ['demo/compare'], ...(last && { lastEventId: last }),
  }));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.op !== 'events') return;
    for (const event of message.events) show((last = event.id), event.data);
  };
  socket.onclose = () => setTimeout(open, 250);
}
open();
`,
  react: `// As in the SSE tutorials, unchanged; what EventSource does by itself is enough.
function Message() {
  const [message, setMessage] = useState('');
  useEffect(() => {
    const stream = new EventSource('${origin}/topics/demo/compare');
    stream.onmessage = (event) => setMessage(event.data);
    return () => stream.close();
  }, []);
  return <h1>Real-time Message: {message}</h1>;
}
`,
  python: `import asyncio, json
import websockets   # and for SSE: httpx.stream("GET", "${origin}/topics/demo/compare")

async def follow(last=None):
    async with websockets.connect("${ws}/ws", subprotocols=["tidings.v1.json"]) as socket:
        start = {"lastEventId": last} if last else {}
        await socket.send(json.dumps(
            {"op": "subscribe", "sub": "a", "topics": ["demo/compare"], **start}))
        async for text in socket:
            for event in json.loads(text).get("events", []):
                print(event["id"], event["data"])

asyncio.run(follow())
`,
  curl: `# SSE is plain HTTP: curl follows it, and so does every proxy.
curl -N ${origin}/topics/demo/compare
curl ${origin}/topics/demo/compare -d 'Hello'
# After a cut: everything after an id, then what comes.
curl -N ${origin}/topics/demo/compare -H 'Last-Event-ID: 80aqvuid-17'
# A WebSocket needs a client that speaks it:
#   websocat --protocol tidings.v1.json ${ws}/ws
#   {"op":"subscribe","sub":"a","topics":["demo/compare"]}
`,
};
