/** KSI's TypeScript client. */
export { KsiClient, type KsiClientOptions } from './client.js';
export { AgentInbox, type InboxOptions } from './agent-inbox.js';
export type { ConversationEvent, ConversationHandle } from './conversation-handle.js';
export { KsiError, KsiGapError, KsiTaskError, KsiUnreachableError } from './errors.js';
export type { EventGap, EventMessage, LiveDelta } from './event-message.js';
export type { Listing } from './listing.js';
export type { ExpectingOptions, SharedChange, WatchOptions } from './resources/shared.js';
export type { SpawnedTask, TaskHandle } from './task-handle.js';
export type { CallOptions, EventsOptions, FollowOptions, KeyedOptions, RepeatingOptions } from './transport.js';
