// `@tidings/ai`: chats of the AI SDK over a relay, and answers of any LLM API as text.

export {
  TidingsChatTransport,
  type Prepared,
  type Resolvable,
  type SendRequest,
  type TidingsChatTransportOptions,
} from './transport.js';
export * from './answer/index.js';
