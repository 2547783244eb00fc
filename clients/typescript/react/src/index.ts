'use client';

// `@tidings/react`: topics and answers in components.

export { TidingsProvider, useTidings, type TidingsProviderProps } from './provider.js';
export type { Beginning, FollowOptions, Topics } from './use-feed.js';
export {
  useEvent, useLatest, useSubscription, type SubscriptionResult, type UseEventOptions,
  type UseLatestOptions, type UseSubscriptionOptions,
} from './use-subscription.js';
export {
  useReducedStream, type StreamReducer, type UseReducedStreamOptions,
} from './use-reduced-stream.js';
export {
  useTextStream, type TextStream, type UseTextStreamOptions,
} from './use-text-stream.js';
export type { Answer, TextSnapshot, TextStatus } from './text-feed.js';
export { useConnectionState, type ShownConnection } from './use-connection-state.js';
export type { Member } from './members.js';
export {
  usePresence, useTyping, type Me, type Typing, type UsePresenceOptions,
} from './use-presence.js';
