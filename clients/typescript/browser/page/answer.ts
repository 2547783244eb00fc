// A page that reads an answer of a model, and keeps what a reload would otherwise lose.

import { EventSource as TidingsEventSource } from '@tidings/client/eventsource';

/** What was read, and up to where. */
export interface Kept {
  text: string;
  id: string;
  ended: boolean;
}

declare global {
  interface Window {
    answer: typeof answer;
  }
}

/** Reads on where the last page of this tab was, by our `EventSource` or the browser's. */
function read(url: string, native: boolean): void {
  const noted = kept();
  const from = native && noted.id !== '' ? `&lastEventId=${noted.id}` : '';
  const headers: Record<string, string> = noted.id === '' ? {} : { 'Last-Event-ID': noted.id };
  const source = native ? new EventSource(url + from) : new TidingsEventSource(url, { headers });
  const take = (event: Event) => {
    const { data, lastEventId } = event as MessageEvent<string>;
    noted.id = lastEventId;
    noted.text += event.type === 'snapshot' ? start(data) : piece(data);
    sessionStorage.setItem('answer', JSON.stringify(noted));
  };
  source.addEventListener('message', take);
  source.addEventListener('snapshot', take);
  source.addEventListener('end', () => {
    noted.ended = true;
    sessionStorage.setItem('answer', JSON.stringify(noted));
    source.close();
  });
}

/** The text so far, as an answer's topic begins with. */
function start(data: string): string {
  return (JSON.parse(data) as { text: string }).text;
}

/** The text in a chunk of a chat completion. */
function piece(data: string): string {
  if (data === '[DONE]') return '';
  const { choices } = JSON.parse(data) as { choices: { delta?: { content?: string } }[] };
  return choices.map(({ delta }) => delta?.content ?? '').join('');
}

function kept(): Kept {
  const none: Kept = { text: '', id: '', ended: false };
  return JSON.parse(sessionStorage.getItem('answer') ?? JSON.stringify(none)) as Kept;
}

const answer = { read, kept };
window.answer = answer;
