// From the events of an answer to what they say, in every dialect that the relay speaks.
//
// The dialect is read off each event, so that nothing has to be known beforehand: OpenAI's chat
// completions, completions and Responses, Anthropic's Messages, the AI SDK's UI messages, the
// relay's own snapshot of an answer so far. What is not a JSON object is text as it stands, so that
// any topic whose events are pieces of text can be read as well.

import type { AnswerEvent } from './events.js';
import { isObject, parseObject, type Fields } from './json.js';

/** What an answer has cost, in tokens, as far as its upstream tells. */
export interface AnswerUsage {
  inputTokens?: number;
  outputTokens?: number;
  totalTokens?: number;
}

/** What an answer says so far. */
export interface AnswerText {
  /** Its text, of the first choice. */
  text: string;
  /** What the model thought aloud; empty if it did not. */
  reasoning: string;
  /** What it has cost; undefined until that is told. */
  usage: AnswerUsage | undefined;
  /** Why the model stopped, in its API's word; undefined until then. */
  finishReason: string | undefined;
  /** What the upstream says went wrong. */
  error: string | undefined;
  /** Whether it was stopped by a request to stop it. */
  isCancelled: boolean;
}

/** An answer that nothing was said of yet. */
export function emptyText(): AnswerText {
  return {
    text: '',
    reasoning: '',
    usage: undefined,
    finishReason: undefined,
    error: undefined,
    isCancelled: false,
  };
}

/** Takes the next event; `said` is changed in place. */
export function takeEvent(said: AnswerText, event: Pick<AnswerEvent, 'type' | 'data'>): void {
  const { data } = event;
  if (data === '[DONE]') return;
  const record = parseObject(data);
  if (record === undefined) {
    said.text += data;
    return;
  }
  if (event.type === 'snapshot') {
    snapshot(said, record);
    return;
  }
  const type = record['type'];
  if (Array.isArray(record['choices'])) chat(said, record);
  else if (typeof type === 'string') typed(said, type, record);
  else if ('error' in record) failed(said, record['error']);
}

function snapshot(said: AnswerText, record: Fields): void {
  said.text = text(record['text']);
  said.reasoning = text(record['reasoning']);
  usage(said, record['usage']);
  said.finishReason = optional(record['finish_reason']);
  said.isCancelled = record['state'] === 'cancelled';
}

function chat(said: AnswerText, record: Fields): void {
  const choices: unknown[] = Array.isArray(record['choices']) ? record['choices'] : [];
  for (const choice of choices) {
    if (!isObject(choice) || (choice['index'] ?? 0) !== 0) continue;
    const delta = fields(choice['delta']);
    said.reasoning += text(delta['reasoning_content'] ?? delta['reasoning']);
    said.text += text(delta['content']) + text(delta['refusal']) + text(choice['text']);
    said.finishReason = optional(choice['finish_reason']) ?? said.finishReason;
  }
  usage(said, record['usage']);
  if ('error' in record) failed(said, record['error']);
}

/** The dialects whose events name their own type. */
function typed(said: AnswerText, type: string, record: Fields): void {
  switch (type) {
    // AI SDK
    case 'text-delta':
      said.text += text(record['delta']);
      break;
    case 'reasoning-delta':
      said.reasoning += text(record['delta']);
      break;
    case 'finish':
      said.finishReason = optional(record['finishReason']) ?? said.finishReason;
      break;
    case 'abort':
      said.isCancelled = true;
      break;
    // Anthropic
    case 'message_start':
      usage(said, fields(record['message'])['usage']);
      break;
    case 'content_block_delta': {
      const delta = fields(record['delta']);
      said.text += text(delta['text']);
      said.reasoning += text(delta['thinking']);
      break;
    }
    case 'message_delta':
      said.finishReason = optional(fields(record['delta'])['stop_reason']) ?? said.finishReason;
      usage(said, record['usage']);
      break;
    // Responses
    case 'response.output_text.delta':
    case 'response.refusal.delta':
      said.text += text(record['delta']);
      break;
    case 'response.reasoning_text.delta':
    case 'response.reasoning_summary_text.delta':
      said.reasoning += text(record['delta']);
      break;
    case 'response.completed':
    case 'response.incomplete':
    case 'response.failed':
      response(said, fields(record['response']));
      break;
    // All of them
    case 'error':
      failed(said, record['errorText'] ?? record['error'] ?? record['message']);
      break;
    default:
  }
}

function response(said: AnswerText, record: Fields): void {
  usage(said, record['usage']);
  said.finishReason = optional(fields(record['incomplete_details'])['reason'])
    ?? optional(record['status']);
  if (isObject(record['error'])) failed(said, record['error']);
}

/** Both families of names; what is told later completes what was told before. */
function usage(said: AnswerText, value: unknown): void {
  if (!isObject(value)) return;
  const known: AnswerUsage = { ...said.usage };
  const input = value['input_tokens'] ?? value['prompt_tokens'];
  const output = value['output_tokens'] ?? value['completion_tokens'];
  if (typeof input === 'number') known.inputTokens = input;
  if (typeof output === 'number') known.outputTokens = output;
  const { inputTokens, outputTokens } = known;
  if (typeof value['total_tokens'] === 'number') known.totalTokens = value['total_tokens'];
  else if (inputTokens !== undefined && outputTokens !== undefined) {
    known.totalTokens = inputTokens + outputTokens;
  }
  said.usage = known;
}

function failed(said: AnswerText, value: unknown): void {
  const { type, code, message = code } = fields(value);
  if (type === 'cancelled' || code === 'cancelled') {
    said.isCancelled = true;
    return;
  }
  const told = isObject(value) ? message : value;
  said.error = typeof told === 'string' ? told : 'the upstream failed';
}

function fields(value: unknown): Fields {
  return isObject(value) ? value : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function optional(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
