import type { Config } from '../../../../contracts/config/config.js';
import { listOf } from '../../../config/load.js';
import { ApiError } from '../../../errors/api-error.js';

/**
 * Accepts requests only for known host names and from known origins. This prevents DNS rebinding, where a foreign name resolves to this
 * machine, and cross-site requests.
 */
export class HostPolicy {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor(config: Pick<Config, 'KSI_HOST' | 'KSI_ALLOWED_HOSTS' | 'KSI_ALLOWED_ORIGINS'>) {
    const bound = ANY_ADDRESS.has(config.KSI_HOST) ? [] : [bare(config.KSI_HOST)];
    this.#hosts = new Set([
      ...LOOPBACK,
      ...bound,
      ...listOf(config.KSI_ALLOWED_HOSTS).map((host) => host.toLowerCase()),
    ]);
    this.#origins = new Set(listOf(config.KSI_ALLOWED_ORIGINS).map((origin) => origin.toLowerCase()));
  }

  /**
   * @param host the Host header. @param origin the Origin header, which only browsers send.
   * @throws {ApiError} host_not_allowed, origin_not_allowed
   */
  check(host: string | undefined, origin: string | undefined): void {
    const at = hostOf(host);
    if (at === undefined || !(this.#hosts.has(at.name) || this.#hosts.has(at.whole)))
      throw new ApiError('host_not_allowed', 'The Host header names a host that this API does not serve');
    if (origin === undefined) return;
    // Allowed: pages that this API serves under an allowed name, and the origins in KSI_ALLOWED_ORIGINS.
    if (!this.#isOwn(origin, at.whole) && !this.#origins.has(origin.toLowerCase()))
      throw new ApiError('origin_not_allowed', 'The request comes from a page of another origin');
  }

  /** Whether KSI_ALLOWED_ORIGINS lets pages of this origin read answers. */
  sharesWith(origin: string): boolean {
    return this.#origins.has(origin.toLowerCase());
  }

  #isOwn(origin: string, host: string): boolean {
    return origin.toLowerCase() === `http://${host}` || origin.toLowerCase() === `https://${host}`;
  }
}

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];
const ANY_ADDRESS = new Set(['0.0.0.0', '::', '[::]']);
const bare = (host: string): string => host.toLowerCase().replace(/^\[(.*)\]$/, '$1');

/** Parses a Host header: a name or an address, and perhaps a port. Undefined if it is anything else. */
function hostOf(host: string | undefined): { name: string; whole: string } | undefined {
  const [whole, v6, name] =
    /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::[0-9]{1,5})?$/.exec(host?.toLowerCase() ?? '') ?? [];
  return whole === undefined ? undefined : { name: v6 ?? name ?? '', whole };
}
