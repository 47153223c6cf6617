/**
 * KSI's client for direct connections to the broker.
 * @packageDocumentation
 */
export { KsiNatsClient } from './client.js';
export type { KsiNatsOptions } from './transport.js';
export * from '../exports.js';
