import { jetstreamManager } from '@nats-io/jetstream';
import { AuthorizationError, type NatsConnection } from '@nats-io/transport-node';
import type { Config } from '../../contracts/config/config.js';
import { API_TIMEOUT_MS, dialBroker } from '../broker/connect.js';
import { withoutPassword } from '../without-password.js';
import { ClusterError } from './errors.js';
import { isNewEnough, MIN_VERSION } from './nats-server/version.js';

/**
 * Looks at the broker of KSI_NATS_URL before anything starts. One that cannot be reached may still come; `progress` names the cause.
 * @throws {ClusterError} `broker_unusable` if it refuses KSI, has no JetStream or is too old
 */
export async function checkExternalBroker(config: Config, progress: (text: string) => void): Promise<void> {
  const url = config.KSI_NATS_URL;
  if (url === undefined) return;
  const unusable = (why: string, cause?: unknown): ClusterError =>
    new ClusterError('broker_unusable', `The broker at ${withoutPassword(url)} ${why}.`, { cause });
  let nc: NatsConnection;
  try {
    nc = await dialBroker({
      url,
      name: 'ksi up',
      credentialsFile: config.KSI_NATS_CREDENTIALS,
      caFile: config.KSI_NATS_TLS_CA,
      inboxPrefix: config.KSI_NATS_INBOX,
      reconnect: false,
    });
  } catch (error) {
    if (error instanceof AuthorizationError)
      throw unusable('refuses KSI. Check KSI_NATS_CREDENTIALS, or the user in KSI_NATS_URL', error);
    progress(`cannot reach the broker at ${withoutPassword(url)}: ${(error as Error).message}; trying again`);
    return;
  }
  try {
    const { version, jetstream } = nc.info ?? {};
    if (version !== undefined && !isNewEnough(version))
      throw unusable(`is nats-server ${version}, but KSI needs ${MIN_VERSION} or later`);
    if (jetstream !== true) throw unusable(NO_JETSTREAM);
    await (await jetstreamManager(nc, { timeout: API_TIMEOUT_MS, checkAPI: false })).getAccountInfo();
  } catch (error) {
    if (error instanceof ClusterError) throw error;
    // The package does not export the class.
    if (error instanceof Error && error.name === 'JetStreamNotEnabled') throw unusable(NO_JETSTREAM, error);
    // A user who may not ask for the account's state may still use its streams.
  } finally {
    await nc.close();
  }
}

const NO_JETSTREAM =
  "has no JetStream. Start it with `nats-server -js`, or enable JetStream for the account of KSI's user";
