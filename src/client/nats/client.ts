import { KsiApi } from '../api.js';
import { NatsTransport, type KsiNatsOptions } from './transport.js';

/**
 * A client that connects directly to the broker. It calls the NATS service `ksi.api.<operation>` and reads events from their stream. It has the
 * rights of the cluster's operator and sees all owners. It connects at first use and reconnects automatically.
 */
export class KsiNatsClient extends KsiApi {
  constructor(options: KsiNatsOptions) {
    super(new NatsTransport(options));
  }
}
