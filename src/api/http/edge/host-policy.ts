import type { Config } from '../../../../contracts/config/config.js';
import { listOf } from '../../../config/load.js';
import { ApiError } from '../../../errors/api-error.js';

/** A name that a browser may be led to by whoever owns a name's DNS is none of ours: only these are answered. */
export class HostPolicy {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor(config: Pick<Config, 'KSI_HOST' | 'KSI_ALLOWED_HOSTS' | 'KSI_ALLOWED_ORIGINS'>) {
    const own = ANY_ADDRESS.has(config.KSI_HOST) ? [] : [bare(config.KSI_HOST)];
    this.#hosts = new Set([...LOOPBACK, ...own, ...listOf(config.KSI_ALLOWED_HOSTS).map((host) => host.toLowerCase())]);
    this.#origins = new Set(listOf(config.KSI_ALLOWED_ORIGINS).map((origin) => origin.toLowerCase()));
  }

  /**
   * @param host the request's Host header. @param origin its Origin header, which browsers send.
   * @throws {ApiError} host_not_allowed, origin_not_allowed
   */
  check(host: string | undefined, origin: string | undefined): void {
    const at = hostOf(host);
    if (at === undefined || !(this.#hosts.has(at.name) || this.#hosts.has(at.whole)))
      throw new ApiError('host_not_allowed', 'The Host header names a host that this API does not answer for');
    if (origin === undefined) return;
    // A page of our own, which has been asked for under an allowed name, or one that the operator named.
    if (!this.#isOwn(origin, at.whole) && !this.#origins.has(origin.toLowerCase()))
      throw new ApiError('origin_not_allowed', 'The request comes from a page of another origin');
  }

  /** Whether pages of this origin, which isn't ours, may read answers. */
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

/** Host is a name or an address, and a port: nothing else may stand there. */
function hostOf(host: string | undefined): { name: string; whole: string } | undefined {
  const [whole, v6, name] =
    /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::[0-9]{1,5})?$/.exec(host?.toLowerCase() ?? '') ?? [];
  return whole === undefined ? undefined : { name: v6 ?? name ?? '', whole };
}
