import type { Transport } from '../transport.js';

/** The operations on one kind of object. */
export abstract class Resource {
  // A private field, so that a log line of the client does not print the token.
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  protected get transport(): Transport {
    return this.#transport;
  }
}
