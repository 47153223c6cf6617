import pino from 'pino';
import { connectBroker, type Broker } from '../../src/broker/connect.js';

/** The API's own way to the broker, for baselines and for events that no task made. */
export const benchBroker = (env: Readonly<Record<string, string | undefined>>): Promise<Broker> =>
  connectBroker({
    url: env['BENCH_NATS'] ?? '',
    name: 'bench',
    credentialsFile: env['BENCH_CREDENTIALS'],
    inboxPrefix: env['BENCH_INBOX'],
    log: pino({ level: 'silent' }),
  });
