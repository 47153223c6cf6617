/** KSI's client for browsers: the same, and nothing of Node in all that it loads. */
export { KsiClient } from './browser-client.js';
export * from './exports.js';
