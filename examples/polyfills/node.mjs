// Usage: node node.mjs [http://127.0.0.1:8080]
import { EventSource } from 'eventsource';

const source = new EventSource(`${process.argv[2] ?? 'http://127.0.0.1:8080'}/topics/news?last=5`);
source.onmessage = ({ data }) => console.log(data);

// Its wait before it comes back does not keep a process alive; a program that does nothing else
// would end there.
setInterval(() => {}, 60_000);
