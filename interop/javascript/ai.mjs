// The AI SDK: `Chat` and `useChat` of @ai-sdk/react, with the transport that they use by default.
// Usage: node ai.mjs 7|6|5
//
// Without a relay the SDK needs a route handler of its own in front of the API; here it is the one
// of the SDK's guide, in this process, on the SDK's own provider. What `Chat` then holds is what it
// must hold with the relay in the handler's place.
import { Window } from 'happy-dom';
import { raised, run } from './jobs.mjs';

const version = process.argv[2];
const [ai, react, provider] = await Promise.all(
  {
    7: ['ai', '@ai-sdk/react', '@ai-sdk/openai-compatible'],
    6: ['ai-6', 'ai-6-react', 'ai-6-provider'],
    5: ['ai-5', 'ai-5-react', 'ai-5-provider'],
  }[version].map((name) => import(name)),
);

// Longest wait for something that a chat is to show, in milliseconds.
const SHOW_MAX = 20_000;

const tools = Object.fromEntries(
  ['weather', 'tides'].map((name) => {
    const inputSchema = ai.jsonSchema({ type: 'object' });
    return [name, ai.tool({ description: name, inputSchema })];
  }),
);

// The route handler of the guide, called as `fetch` would call it.
function handler(job) {
  const api = provider.createOpenAICompatible({ name: 'upstream', baseURL: `${job.base}/v1` });
  return async (_, init) => {
    const { messages } = JSON.parse(init.body);
    const result = ai.streamText({
      model: api('scripted'),
      messages: await ai.convertToModelMessages(messages),
      tools,
      maxRetries: 0,
      abortSignal: init.signal,
      onError: () => {},
    });
    const onError = (error) => String(error?.message ?? error);
    return result.toUIMessageStreamResponse({ sendReasoning: true, onError });
  };
}

const transport = (job, direct) =>
  new ai.DefaultChatTransport({
    api: `${job.base}/api/chat`,
    ...(direct ? { fetch: handler(job) } : {}),
  });

const asked = (job) => ({
  id: 'question',
  role: 'user',
  parts: [{ type: 'text', text: job.text }],
});

const chatOf = (job, messages = []) =>
  new react.Chat({ id: job.chat, transport: transport(job, job.direct), messages });

// What the page would show of the answer, without names that are made anew each time.
function shown(messages) {
  const answers = messages.filter((message) => message.role === 'assistant');
  return answers.flatMap((message) =>
    message.parts.map((part) => {
      const { type, state, text, input, errorText } = part;
      const tool = part.toolName ?? type.split('tool-')[1];
      return JSON.parse(JSON.stringify({ type, state, text, tool, input, errorText }));
    }),
  );
}

const outcome = (chat) => ({
  events: shown(chat.messages),
  raised: chat.error ? { ...raised(chat.error), class: 'Error' } : null,
  chat: chat.status,
});

// Waits until a chat shows some text.
async function text(chat) {
  const until = Date.now() + SHOW_MAX;
  while (!shown(chat.messages).some((part) => part.text)) {
    if (Date.now() > until) throw new Error(`nothing is shown: ${JSON.stringify(chat.messages)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// The page is closed in the middle of the answer.
async function lost(job) {
  const chat = chatOf(job);
  const sent = chat.sendMessage(asked(job));
  await text(chat);
  const events = shown(chat.messages);
  await chat.stop();
  await sent;
  return { events };
}

// A page, with what draws on it.
async function browser() {
  const window = new Window();
  for (const name of ['window', 'document', 'navigator']) {
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
  }
  const { createElement } = await import('react');
  const { createRoot } = await import('react-dom/client');
  const place = window.document.body.appendChild(window.document.createElement('div'));
  return { createElement, root: createRoot(place) };
}

// Shows a chat with a component until it is as wanted.
async function show({ createElement, root }, options, wanted) {
  let chat;
  const Component = () => {
    chat = react.useChat(options);
    return createElement('p', null, shown(chat.messages).map((part) => part.text).join(''));
  };
  root.render(createElement(Component));
  const until = Date.now() + SHOW_MAX;
  while (!chat || !wanted(chat)) {
    if (Date.now() > until) throw new Error(`not shown: ${JSON.stringify(chat?.messages)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const seen = outcome(chat);
  root.unmount();
  return seen;
}

await run({
  stream: async (job) => {
    const chat = chatOf(job);
    await chat.sendMessage(asked(job));
    return outcome(chat);
  },
  resume: async (job) => {
    const first = await lost(job);
    const chat = chatOf(job, [asked(job)]);
    await chat.resumeStream();
    return { first, ...outcome(chat) };
  },
  hook: async (job) => {
    const page = await browser();
    const first = await lost(job);
    const options = { id: job.chat, transport: transport(job), messages: [asked(job)], resume: true };
    const over = (chat) => chat.status === 'ready' && chat.messages.length > 1;
    return { first, ...(await show(page, options, over)) };
  },
  idle: async (job) => {
    const chat = chatOf(job);
    await chat.resumeStream();
    return outcome(chat);
  },
  stop: async (job) => {
    const chat = chatOf(job);
    const sent = chat.sendMessage(asked(job));
    await text(chat);
    const path = `${job.base}/api/chat/${encodeURIComponent(job.chat)}/stop`;
    const stop = async () => (await fetch(path, { method: 'POST' })).status;
    const status = [await stop(), await stop()];
    await sent;
    return { ...outcome(chat), status };
  },
});
