import { readFile } from 'node:fs/promises';
import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, type NatsConnection, type TlsOptions } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { systemClock } from '../clock.js';
import { retry, RETRY_MS } from '../retry.js';
import { BrokerClock, type SharedClock } from './broker-clock.js';
import { DeferredWrites } from './deferred-writes.js';
import { Publisher } from './publish.js';
import { defined } from '../defined.js';

export interface DialOptions {
  /** One URL or several, separated by commas. `tls://…` requires TLS. */
  url: string;
  /** Shown in the broker's connection list. */
  name: string;
  /** File with the NKey seed. Default: the user and password in the URL, if any. */
  credentialsFile?: string | undefined;
  /** PEM file of the accepted certificate authorities; requires TLS. Default: the authorities that Node trusts. */
  caFile?: string | undefined;
  /** Prefix of this process's reply subjects. Its permissions allow no other. */
  inboxPrefix?: string | undefined;
  /** How long one server may take to accept a connection, in ms, before another is tried. */
  dialWithinMs?: number | undefined;
  /** False: the connection ends when it is lost. */
  reconnect?: boolean | undefined;
}

export interface BrokerOptions extends DialOptions {
  log: Logger;
  /** Ends the wait for the first connection. */
  signal?: AbortSignal | undefined;
}

/** A self-reconnecting connection to the broker, with its clients. */
export interface Broker {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly publisher: Publisher;
  readonly optional: DeferredWrites;
  /** The broker's time and timers. Await `clock.known()` before the first `now()`. */
  readonly clock: SharedClock;
  /** False between a loss of the connection and its return. */
  connected(): boolean;
  /** Calls `listener` when the connection is lost or restored. @returns a function that unsubscribes. */
  onConnection(listener: (connected: boolean) => void): () => void;
  close(): Promise<void>;
}

/** How long a JetStream API call may take, in ms: less than the 2 s within which KSI's API must answer 503. */
export const API_TIMEOUT_MS = 1_500;
/** A frozen server accepts a connection and never answers. */
const DIAL_WITHIN_MS = 5_000;

/** Connects once. */
export async function dialBroker(options: DialOptions): Promise<NatsConnection> {
  const seed =
    options.credentialsFile === undefined ? undefined : (await readFile(options.credentialsFile, 'utf8')).trim();
  return connect(
    defined({
      servers: options.url.split(',').map((server) => server.trim()),
      name: options.name,
      reconnect: options.reconnect,
      maxReconnectAttempts: -1,
      timeout: options.dialWithinMs ?? DIAL_WITHIN_MS,
      reconnectTimeWait: 200,
      reconnectJitter: 200,
      pingInterval: 5_000,
      maxPingOut: 2,
      ...tlsOf(options),
      inboxPrefix: options.inboxPrefix,
      ...(seed === undefined
        ? userIn(options.url)
        : { authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)) }),
    }),
  );
}

/** Connects, retrying until it succeeds. @throws the signal's reason. */
export async function connectBroker(options: BrokerOptions): Promise<Broker> {
  const { log, signal } = options;
  let logged = false;
  const onFailure = (error: unknown): void => {
    if (!logged) log.warn({ err: error }, 'cannot reach the broker; retrying');
    logged = true;
  };
  const nc = await retry(() => dialBroker(options), { clock: systemClock, pauseMs: RETRY_MS.start, signal, onFailure });
  const js = jetstream(nc, { timeout: API_TIMEOUT_MS });
  const jsm = await jetstreamManager(nc, { timeout: API_TIMEOUT_MS, checkAPI: false });
  const clock = new BrokerClock(jsm.streams, systemClock, log);
  const publisher = new Publisher(nc, systemClock, options.inboxPrefix);
  const listeners = new Set<(connected: boolean) => void>();
  let connected = true;
  const change = (to: boolean): void => {
    if (connected === to) return;
    connected = to;
    if (to) {
      log.info({ server: nc.getServer() }, 'broker connection restored');
      clock.again();
    } else {
      log.warn('broker connection lost; reconnecting');
      publisher.connectionLost();
    }
    for (const listener of listeners) listener(to);
  };
  const optional = new DeferredWrites({ clock: systemClock, connected: () => connected, log });
  const watching = watchStatus(nc, change, log);
  return {
    nc,
    js,
    jsm,
    publisher,
    optional,
    clock,
    connected: () => connected,
    onConnection: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      optional.stop();
      publisher.stop();
      const stopped = clock.stop();
      await nc.close();
      await stopped;
      await watching;
    },
  };
}

/** The user and password, or the token, of the first URL that has them. The NATS client does not read them from URLs. */
function userIn(url: string): { user?: string; pass?: string; token?: string } {
  const [, given] = /:\/\/([^@/,]+)@/.exec(url) ?? [];
  if (given === undefined) return {};
  const [user = '', ...pass] = given.split(':');
  return pass.length === 0
    ? { token: decodeURIComponent(user) }
    : { user: decodeURIComponent(user), pass: decodeURIComponent(pass.join(':')) };
}

/** Without these options, TLS is used only if the server offers it. With them, a man in the middle cannot downgrade the connection. */
function tlsOf({ url, caFile }: DialOptions): { tls?: TlsOptions } {
  if (caFile !== undefined) return { tls: { caFile } };
  return url.includes('tls://') ? { tls: {} } : {};
}

async function watchStatus(nc: NatsConnection, change: (connected: boolean) => void, log: Logger): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === 'disconnect') change(false);
    else if (status.type === 'reconnect') change(true);
    else if (status.type === 'error') log.error({ err: status.error }, 'the broker reported an error');
    else log.debug({ status: status.type }, 'broker connection status');
  }
}
