import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import type { Broker } from '../broker/connect.js';
import { serviceOf } from '../process/lifecycle.js';
import type { ReadModel } from '../store/read-model.js';
import { Audit } from './audit.js';
import { Authenticator } from './auth.js';
import { Budget, budgetsFile } from './budgets.js';
import { Exchanges } from './exchanges.js';
import { SpawnRateLimiter } from './rates/limiter.js';
import { TokenRegistry } from './tokens/registry.js';
import { RecordMac } from './tokens/record-mac.js';
import { Tickets } from './tokens/tickets.js';

export interface AccessOptions {
  readonly broker: Broker;
  readonly model: ReadModel;
  readonly config: Config;
  /** The token that `make up` created. */
  readonly rootToken: string;
  readonly log: Logger;
}

export type Access = Awaited<ReturnType<typeof startAccess>>;

/** Starts tokens, rate limits, budgets and the audit log. @throws {BrokerError} */
export const startAccess = ({ broker, model, config, rootToken, log }: AccessOptions) =>
  serviceOf(log, async (lifecycle) => {
    const mac = await RecordMac.of(config.KSI_NATS_CREDENTIALS);
    const tokens = lifecycle.add(new TokenRegistry(broker, mac, log));
    await tokens.start();
    const spawnRate = lifecycle.add(new SpawnRateLimiter(config.KSI_SPAWN_RATE, broker, log));
    spawnRate.start();
    const audit = lifecycle.add(new Audit(broker, log));
    const exchanges = new Exchanges(broker, model, log);
    return {
      tokens,
      tickets: new Tickets(broker, mac, log),
      authenticator: new Authenticator(rootToken, { tokens, clock: broker.clock }),
      spawnRate,
      audit,
      exchanges,
      budget: new Budget(budgetsFile(config.KSI_BUDGETS, log), model, exchanges, broker.clock),
    };
  });
