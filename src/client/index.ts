/** KSI's TypeScript client. */
export { KsiClient, type FollowOptions, type KsiClientOptions, type SpawnOptions } from './client.js';
export { KsiError, KsiUnreachableError } from './errors.js';
export type { SocketMessage } from './socket.js';
