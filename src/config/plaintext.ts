import type { Config } from '../../contracts/config/config.js';
import { ConfigError } from './error.js';

/** Whether only this machine can reach the address. */
export const isLoopback = (host: string): boolean =>
  /^(localhost|::1|\[::1\]|127(\.[0-9]{1,3}){3})$/.test(host.toLowerCase());

/**
 * Refuses to serve plaintext to other machines, unless the operator allows it.
 * @param why the reason, and what to do. @throws {ConfigError}
 */
export function refusePlaintext(
  { KSI_HOST: host, KSI_ALLOW_PLAINTEXT: allowed }: Pick<Config, 'KSI_HOST' | 'KSI_ALLOW_PLAINTEXT'>,
  why: string,
): void {
  if (!isLoopback(host) && allowed !== 'yes') throw new ConfigError([`KSI_HOST="${host}": ${why}`]);
}
