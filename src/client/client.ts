import { KsiApi } from './api.js';
import { HttpTransport, type KsiClientOptions } from './http.js';

export type { KsiClientOptions };

/** A client of KSI's HTTP and WebSocket API. */
export class KsiClient extends KsiApi {
  constructor(options: KsiClientOptions) {
    super(new HttpTransport(options));
  }
}
