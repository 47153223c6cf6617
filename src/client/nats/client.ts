import { KsiApi } from '../api.js';
import { NatsTransport, type KsiNatsOptions } from './transport.js';

/**
 * The same client straight over the broker: `ksi.api.<operation>` and the event stream itself. It acts as the cluster's own operator, and
 * sees what belongs to all owners. It connects when it is first used, and comes back by itself.
 */
export class KsiNatsClient extends KsiApi {
  constructor(options: KsiNatsOptions) {
    super(new NatsTransport(options));
  }
}
