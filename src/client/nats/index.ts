/**
 * KSI's client for those who connect straight to the broker.
 * @packageDocumentation
 */
export { KsiNatsClient } from './client.js';
export type { KsiNatsOptions } from './transport.js';
export * from '../exports.js';
