// The page in four languages, without its looks.

import type { Listings } from '../../shell/listing';

const origin = location.origin;

export const priceCode: Listings = {
  typescript: `import { createClient, json } from '@tidings/client';

const client = createClient({ url: '${origin}' });
// The log of a conflated topic is one price for each instrument: a table to begin with.
const prices = client.subscribe('demo/prices', {
  history: 'all',
  parse: json,
  // A slow reader's queue holds the newest of each key.
  buffer: { max: 1024, overflow: 'conflate' },
});
for await (const { key, data } of prices) {
  table.set(key, data);
}
`,
  react: `import { TidingsProvider, useReducedStream } from '@tidings/react';

function Prices() {
  // At most one render a frame, however many events come.
  const table = useReducedStream('demo/prices', (table, event) =>
    new Map(table).set(event.key, event.data), new Map(), { history: 'all' });
  return <Grid table={table} />;
}
`,
  python: `import json, time, urllib.request

# A publisher: any program that can POST. A key says what an event is about.
def publish(symbol: str, price: float) -> None:
    url = f"${origin}/topics/demo/prices?key={symbol}"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps([price]).encode()))

while True:
    publish("BANA", 101.25)
    time.sleep(0.001)
`,
  curl: `# A topic that keeps the newest event of each key.
curl -X PUT ${origin}/topics/prices -d '{"conflate":true,"durability":"memory"}'
curl '${origin}/topics/prices?key=BANA' -d 101.25
# All the latest prices, then what comes.
curl -N '${origin}/topics/prices?from=earliest'
# Of any topic: leave out what is superseded before it could be sent.
curl -N '${origin}/topics/demo/ticks?conflate'
`,
};
