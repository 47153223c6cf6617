import { KsiApi } from './api.js';
import { HttpTransport, type KsiClientOptions } from './http.js';
import { NodePlatform } from './platform/node.js';

export type { KsiClientOptions };

/**
 * A client of KSI's HTTP and WebSocket API. It has its own connection pool, so create one client and share it.
 * @example
 * ```ts
 * await using client = new KsiClient({ url: 'http://127.0.0.1:8000', token });
 * ```
 */
export class KsiClient extends KsiApi {
  constructor(options: KsiClientOptions) {
    super(new HttpTransport(options, new NodePlatform()));
  }
}
