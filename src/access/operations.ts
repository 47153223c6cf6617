import type { ACCESS_OPERATIONS } from '../../contracts/access/operations.js';
import type { Broker } from '../broker/connect.js';
import type { Store } from '../store/start.js';
import type { Handlers } from './handlers.js';
import type { Access } from './start.js';
import { usageOf } from './usage.js';

interface AccessHandling extends Pick<Access, 'tokens' | 'tickets' | 'exchanges'>, Pick<Store, 'model'> {
  readonly broker: Pick<Broker, 'clock'>;
}

export const accessHandlers = ({
  tokens,
  tickets,
  exchanges,
  model,
  broker,
}: AccessHandling): Handlers<typeof ACCESS_OPERATIONS> => ({
  tokens: (query, { principal }) => tokens.page(query, principal),
  token: ({ id }, { principal }) => tokens.one(id, principal),
  token_create: (request, { principal, id }) => tokens.create(request, principal, id),
  token_revoke: ({ id }, { principal }) => tokens.revoke(id, principal),
  ticket: (_request, { principal }) => tickets.create(principal),
  usage: (query, { principal }) => usageOf(model, query, principal, broker.clock.now()),
  exchange: ({ id }, { principal }) => exchanges.one(id, principal),
});
