// Answers without the AI SDK: following, reading as text, stopping.

export {
  followAnswer,
  readAnswer,
  stopAnswer,
  sourceOf,
  type AnswerOptions,
  type AnswerReader,
} from './answer.js';
export { AnswerError, type AnswerErrorCode } from './error.js';
export type { AnswerEvent } from './events.js';
export {
  follow,
  type AnswerConnection,
  type AnswerEnd,
  type AnswerSource,
  type FollowOptions,
  type Opened,
} from './follow.js';
export { answerOf, type AnswerHandle } from './handle.js';
export type { RetryOptions } from './retry.js';
export { emptyText, takeEvent, type AnswerText, type AnswerUsage } from './text.js';
