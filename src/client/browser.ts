/** KSI's client for browsers. It has the same API as the client for Node, and loads no Node modules. */
export { KsiClient } from './browser-client.js';
export * from './exports.js';
