import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';
import { Objm, type ObjectStore } from '@nats-io/obj';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { BUCKET } from '../../../contracts/wire/names.js';
import { defined } from '../../defined.js';

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

/** A connection with its JetStream clients. */
export interface Connected {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Opens the object store with the bodies of events that are too large for a message. */
  readonly bodies: () => Promise<ObjectStore>;
}

export async function openConnection(options: NatsConnectionOptions): Promise<Connected> {
  const { servers, credentials, inboxPrefix, ca, name = 'ksi-client' } = options;
  const all = typeof servers === 'string' ? servers.split(',') : [...servers];
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
      ...(credentials === undefined
        ? {}
        : { authenticator: nkeyAuthenticator(new TextEncoder().encode(credentials.trim())) }),
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
  return { nc, js, jsm, bodies: () => (store ??= open()) };
}
