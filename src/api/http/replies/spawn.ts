import type { SpawnQuery, SpawnRequest } from '../../../../contracts/tasks/spawn.js';
import { REPLAYED_HEADER } from '../../../../contracts/wire/names.js';
import { rateHeaders } from '../../../access/rates/limiter.js';
import { outcomeWithin, spawn } from '../../../tasks/spawn.js';
import type { Reply } from '../mount.js';

export type SpawnServices = Parameters<typeof spawn>[0] & Parameters<typeof outcomeWithin>[0];

/** Answers a spawn, with the token's rate limit as headers. With `wait`, holds the answer until the outcome or the end of that time. */
export const spawnReply =
  (services: SpawnServices): Reply =>
  async (request, reply, call) => {
    const { accepted, replayed, rate } = await spawn(services, request.body as SpawnRequest, call.principal, call);
    request.answer = accepted;
    if (rate !== undefined) reply.headers(rateHeaders(rate));
    if (replayed) reply.header(REPLAYED_HEADER, 'true');
    reply.header('location', `/tasks/${accepted.task_id}`);
    const { wait = 0 } = request.query as SpawnQuery;
    if (wait === 0) return reply.code(202).send(accepted);
    const outcome = await outcomeWithin(services, accepted, call.principal, wait, call.signal);
    return reply.code('ended_at' in outcome ? 200 : 202).send(outcome);
  };
