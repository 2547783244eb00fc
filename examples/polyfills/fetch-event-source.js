import { fetchEventSource } from '@microsoft/fetch-event-source';
import { show } from './page.js';

fetchEventSource('/topics/news?last=5', {
  headers: { authorization: 'Bearer a-token' },
  onmessage: ({ data }) => show(data),
  // A stream that ends was cut. Without this the library takes it for finished.
  onclose() {
    throw new Error('cut');
  },
  // It would close the stream while the tab is hidden, and ask anew when it is shown.
  openWhenHidden: true,
});
