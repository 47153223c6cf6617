import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';
import { Objm, type ObjectStore } from '@nats-io/obj';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { BUCKET } from '../../../contracts/wire/names.js';
import { defined } from '../../defined.js';

export interface NatsConnectionOptions {
  /** The broker's address, as `nats://127.0.0.1:4222`, or those of several servers of it; `tls://` demands TLS. */
  readonly servers: string | readonly string[];
  /** The NKey seed of a user, as it stands in `.ksi/nats/operator.nk`. */
  readonly credentials?: string | undefined;
  /** What the subjects begin with that the user may receive answers on, as `_INBOX_operator`. */
  readonly inboxPrefix?: string | undefined;
  /** Certificates (PEM) that the broker's must be signed by; demands TLS. */
  readonly ca?: string | undefined;
  /** Shown in the broker's list of connections. Default: `ksi-client`. */
  readonly name?: string | undefined;
}

/** A connection, and what is made with it. */
export interface Connected {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Of the bodies of events that are too large for a message. */
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
