import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';
import { Objm, type ObjectStore } from '@nats-io/obj';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { BUCKET } from '../../../contracts/wire/names.js';
import { defined } from '../../defined.js';
import { checkedInboxPrefix, checkedSeed, checkedServers } from './options.js';

export interface NatsConnectionOptions {
  /** The broker's address, such as `nats://127.0.0.1:4222`, or the addresses of its servers. `tls://` requires TLS. */
  readonly servers: string | readonly string[];
  /** The NKey seed of a broker user: the content of `.ksi/nats/operator.nk`. */
  readonly credentials?: string | undefined;
  /** The prefix of the inbox subjects that the user may subscribe to, such as `_INBOX_operator`. Default: `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /** The CA certificates (PEM) that the broker's certificate must be signed by. Requires TLS. */
  readonly ca?: string | undefined;
  /** The name of the connection at the broker. Default: `ksi-client`. */
  readonly name?: string | undefined;
}

/** Checked when the client is created, so that a wrong option is reported at once and not as a broker that does not answer. */
export type CheckedConnectionOptions = NatsConnectionOptions & { readonly servers: string[] };

/** @throws {TypeError} */
export const checkedOptions = (options: NatsConnectionOptions): CheckedConnectionOptions => ({
  ...options,
  servers: checkedServers(options.servers),
  credentials: options.credentials === undefined ? undefined : checkedSeed(options.credentials),
  inboxPrefix: options.inboxPrefix === undefined ? undefined : checkedInboxPrefix(options.inboxPrefix),
});

/** A connection with its JetStream clients. */
export interface Connected {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly link: Link;
  /** Opens the object store with the bodies of events that are too large for a message. */
  readonly bodies: () => Promise<ObjectStore>;
}

export async function openConnection(options: CheckedConnectionOptions): Promise<Connected> {
  const { servers: all, credentials, inboxPrefix, ca, name = 'ksi-client' } = options;
  const tls =
    ca === undefined ? (all.some((server) => server.startsWith('tls://')) ? { tls: {} } : {}) : { tls: { ca } };
  const nc = await connect(
    defined({
      servers: all,
      name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      reconnectJitter: 200,
      pingInterval: 10_000,
      maxPingOut: 2,
      ...tls,
      inboxPrefix,
      ...(credentials === undefined ? {} : { authenticator: nkeyAuthenticator(new TextEncoder().encode(credentials)) }),
    }),
  );
  const js = jetstream(nc);
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  let store: Promise<ObjectStore> | undefined;
  const open = (): Promise<ObjectStore> =>
    new Objm(js).open(BUCKET.blobs, false).catch((error: unknown) => {
      store = undefined;
      throw error;
    });
  return { nc, js, jsm, link: new Link(nc), bodies: () => (store ??= open()) };
}

/** The state of a connection. nats.js drops messages that are sent during an outage, and does not reject a request whose answer is lost. */
export class Link {
  #lost = new AbortController();
  #up: Promise<void> = Promise.resolve();

  constructor(nc: NatsConnection) {
    void this.#watch(nc);
  }

  /** Resolves when the connection is up. */
  get up(): Promise<void> {
    return this.#up;
  }

  /** Aborts when the connection breaks. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async #watch(nc: NatsConnection): Promise<void> {
    let reconnected = (): void => undefined;
    for await (const { type } of nc.status()) {
      if (type === 'reconnect') reconnected();
      if (type !== 'disconnect') continue;
      this.#up = new Promise((resolve) => (reconnected = resolve));
      const broken = this.#lost;
      this.#lost = new AbortController();
      broken.abort(new Error('the connection to the broker broke'));
    }
  }
}
