import { useEffect, useState } from 'react';

/** Shows the latest message of `/stream`. Nothing in it knows who is behind that. */
export function RealTimeMessage() {
  const [message, setMessage] = useState('');

  useEffect(() => {
    const source = new EventSource('/stream');
    source.onmessage = (event) => {
      setMessage(event.data);
    };
    return () => {
      source.close();
    };
  }, []);

  return (
    <div>
      <h1>Real-time Message: {message}</h1>
    </div>
  );
}
