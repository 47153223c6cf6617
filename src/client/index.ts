/**
 * KSI's client for Node.
 * @packageDocumentation
 */
export { KsiClient } from './client.js';
export * from './exports.js';
