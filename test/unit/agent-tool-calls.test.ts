import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_HOPS } from '../../contracts/agents/messages.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { ApiError } from '../../src/errors/api-error.js';
import { AgentToolCalls, type AgentToolCallsOptions, type Spawned } from '../../src/agents/tools/calls.js';
import type { Caller } from '../../src/agents/tools/caller.js';

describe('calls of agent tools', () => {
  it('end, however messages and tasks cause each other', async () => {
    const spawned: Spawned[] = [];
    const sent: unknown[] = [];
    const options = {
      agents: {
        send: (_message: unknown, _principal: unknown, { hops }: { hops: number }) => {
          sent.push(hops);
          return Promise.resolve({ message_id: 'm', status: 'queued' });
        },
      },
      exchanges: { count: () => Promise.resolve(), limit: () => Promise.resolve() },
      spawn: (_request: unknown, _principal: unknown, _key: string, of: Spawned) => {
        spawned.push(of);
        return Promise.resolve({ task_id: 't', status: 'queued' });
      },
    } as unknown as AgentToolCallsOptions;
    const deeds = new AgentToolCalls(options);
    const askerWith = (command: Partial<SpawnCommand>): Caller =>
      ({ agent: { agent_id: 'a' }, principal: {}, command: { task_id: 'p', ...command } }) as unknown as Caller;
    const send = (command: Partial<SpawnCommand>): Promise<unknown> =>
      deeds.do('message_send', { to: 'b', content: 'x' }, askerWith(command), 'c');
    const spawn = (command: Partial<SpawnCommand>): Promise<unknown> =>
      deeds.do('task_spawn', { prompt: 'x' }, askerWith(command), 'c');
    const of = (hops: number): Partial<SpawnCommand> => ({ message: { message_id: 'm', type: 'T', hops } });

    await send(of(MAX_HOPS - 1));
    await spawn(of(MAX_HOPS - 1));
    assert.deepEqual([sent, spawned[0]?.hops], [[MAX_HOPS], MAX_HOPS]);
    for (const command of [of(MAX_HOPS), { ...spawned[0] }]) {
      await assert.rejects(send(command), { code: 'too_deep' });
      await assert.rejects(spawn(command), { code: 'too_deep' });
    }
  });

  it('count a call once if it is repeated after a temporary refusal', async () => {
    let counted = 0;
    const refusals = [new ApiError('queue_full', 'x'), new ApiError('conflict', 'x'), undefined];
    const deeds = new AgentToolCalls({
      exchanges: {
        count: async () => void counted++,
        uncount: async () => void counted--,
        limit: async () => undefined,
      },
      agents: {
        send: () => {
          const refusal = refusals.shift();
          return refusal === undefined
            ? Promise.resolve({ message_id: 'm', status: 'queued' })
            : Promise.reject(refusal);
        },
      },
    } as unknown as AgentToolCallsOptions);
    const command = { task_id: 'p', exchange_id: 'e' };
    const asker = { agent: { agent_id: 'a' }, principal: { owner: 'o' }, command } as unknown as Caller;
    const send = (): Promise<unknown> => deeds.do('message_send', { to: 'b', content: 'x' }, asker, 'c');
    await assert.rejects(send(), { code: 'queue_full' });
    await assert.rejects(send(), { code: 'conflict' });
    await send();
    assert.equal(counted, 1);
  });

  it('wait for any fraction of a second', async () => {
    const deeds = new AgentToolCalls({
      closing: new AbortController().signal,
      authenticator: {
        whileValid: (_: unknown, wait: (valid: AbortSignal) => unknown) => wait(new AbortController().signal),
      },
      tasks: { ended: (id: string) => Promise.resolve({ task_id: id, status: 'completed' }) },
    } as unknown as AgentToolCallsOptions);
    const asker = { agent: { agent_id: 'a' }, principal: {}, command: { task_id: 'p' } } as unknown as Caller;
    const { result } = await deeds.do('task_wait', { task_id: 't', wait_s: 0.99999 }, asker, 'c');
    assert.deepEqual(result, { task_id: 't', status: 'completed', ended: true });
  });
});
