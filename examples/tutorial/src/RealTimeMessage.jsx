import { useEffect, useState } from 'react';

/** The component of every tutorial on server-sent events. Nothing in it knows of Tidings. */
export function RealTimeMessage() {
  const [message, setMessage] = useState('');

  useEffect(() => {
    const eventSource = new EventSource('/stream');
    eventSource.onmessage = (event) => setMessage(event.data);
    return () => eventSource.close();
  }, []);

  return <h1>Real-time Message: {message}</h1>;
}
