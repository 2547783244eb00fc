import { EventSourcePolyfill } from 'event-source-polyfill';
import { show } from './page.js';

const headers = { authorization: 'Bearer a-token' };
const source = new EventSourcePolyfill('/topics/news?last=5', { headers });
source.onmessage = ({ data }) => show(data);
