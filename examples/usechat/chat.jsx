// A chat that outlives a reload: the page keeps its messages, the relay keeps the answer that runs.

import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { useChat } from '@ai-sdk/react';

const kept = JSON.parse(sessionStorage.getItem('chat') ?? 'null') ?? {
  id: crypto.randomUUID(),
  messages: [],
};

function Chat() {
  const { messages, sendMessage, status, error } = useChat({ ...kept, resume: true });
  useEffect(() => {
    // The running answer comes again from its beginning; only what is over is worth keeping.
    const over = status === 'ready' ? messages : messages.filter(({ role }) => role === 'user');
    sessionStorage.setItem('chat', JSON.stringify({ id: kept.id, messages: over }));
  }, [messages, status]);

  const ask = (event) => {
    event.preventDefault();
    sendMessage({ text: new FormData(event.target).get('question') });
    event.target.reset();
  };
  return (
    <>
      {messages.map(({ id, role, parts }) => (
        <p key={id} className={role}>
          {parts.map((part) => (part.type === 'text' ? part.text : ''))}
        </p>
      ))}
      <form onSubmit={ask}>
        <input name="question" disabled={status !== 'ready'} />
        <output>{error ? error.message : status}</output>
      </form>
    </>
  );
}

createRoot(document.querySelector('#root')).render(<Chat />);
