// The page in four languages, without its looks.

import type { Listings } from '../../shell/listing';

const origin = location.origin;

export const documentCode: Listings = {
  typescript: `import { createClient } from '@tidings/client';
import * as Y from 'yjs';

const client = createClient({ url: '${origin}' });
const doc = new Y.Doc();

// The log is the document: read all of it, then follow.
const updates = client.subscribe('demo/document/updates', { history: 'all' });
updates.on('event', ({ data }) => Y.applyUpdate(doc, fromBase64(data), client));
doc.on('update', (update, origin) => {
  if (origin !== client) client.publish('demo/document/updates', toBase64(update));
});

// A reminder: published in a minute, also when nobody is here.
const { schedule } = await client.publish('demo/document/reminders', 'Tide turns', { delay: '1m' });
// What came while one was away: after the id that was seen last.
client.subscribe('demo/document/reminders', { lastEventId: localStorage.seen });

// And when the tab is closed: by the browser's push service, if it has one.
import { subscribeToPush } from '@tidings/client/push';
button.onclick = () =>
  subscribeToPush(client, 'demo/document/reminders', { worker: { url: '/worker.js' }, ttl: '1h' });
`,
  react: `import { useEvent } from '@tidings/react';
import { useState } from 'react';

function Reminders() {
  const [list, setList] = useState([]);
  useEvent('demo/document/reminders', (event) => {
    localStorage.seen = event.id;
    setList((list) => [event, ...list]);
  });
  return <ul>{list.map((event) => <li key={event.id}>{event.data}</li>)}</ul>;
}
`,
  python: `import httpx

base = "${origin}/topics/demo/document/reminders"
told = '{"author":"py","name":"Python","hue":210,"text":"The tide turns"}'

# Due in one minute; kept on disk until then, published once, also after a crash.
receipt = httpx.post(base, params={"delay": "1m"}, content=told).json()
print(receipt["schedule"], receipt["at"])

# Or take it back.
httpx.delete(f"${origin}/schedules/{receipt['schedule']}")
`,
  curl: `# A reminder in twenty seconds. It is answered with the name of the schedule.
curl '${origin}/topics/demo/document/reminders?delay=20s' \\
  -d '{"author":"curl","name":"curl","hue":140,"text":"The tide turns"}'
# Take it back.
curl -X DELETE ${origin}/schedules/1
# What has changed since an id, and then what comes.
curl -N '${origin}/events?pattern=demo/document/*&lastEventId=80aqvuid-17'
`,
};
