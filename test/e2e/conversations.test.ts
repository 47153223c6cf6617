import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventData } from '../../contracts/events/events.js';
import { KsiClient } from '../../src/client/index.js';
import { isEvent } from '../../src/client/event-message.js';
import { clusterStatus } from '../../src/cluster/status.js';
import { AgentsOver } from '../fixtures/agents.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';

describe('agents that talk, with the real claude, in a demo', () => {
  let cluster: TestCluster;
  let client: KsiClient;
  before(async () => {
    cluster = await startCluster({ KSI_LOG_LEVEL: 'warn', KSI_WORKERS: '2', KSI_CONCURRENCY: '2', KSI_LEASE_S: '5' }, [
      '--demo',
    ]);
    client = new KsiClient({ url: cluster.url, token: cluster.token });
  });
  after(async () => {
    await client.close();
    await cluster.stop();
  });

  it('a debate of three goes to its end through the death of the worker that runs a turn', async () => {
    const talk = await client.conversations.create({
      topic: 'Tabs or spaces? [[delay:1200]][[say:These are my grounds.]]',
      mode: 'debate',
      agents: 3,
      max_turns: 12,
    });
    // The worker of the second turn dies at it.
    const second = (await talk.get()).participants[1]?.agent_id;
    let killed: string | undefined;
    for await (const message of client.events({ since: talk.since })) {
      if (!isEvent(message) || message.type !== 'SPAWN_START' || message.data['agent_id'] !== second) continue;
      killed = String(message.data['process']);
      break;
    }
    const { processes } = (await clusterStatus(cluster.dir)) ?? assert.fail('no cluster');
    const victim = processes.find(({ name }) => name === killed);
    assert.ok(victim?.pid !== undefined, `no process ${killed}`);
    process.kill(victim.pid, 'SIGKILL');
    const lines: string[] = [];
    let ended: EventData<'CONVERSATION_ENDED'> | undefined;
    for await (const { type, data } of talk.events()) {
      if (type === 'CONVERSATION_ENDED') ended = data;
      if (type !== 'CONVERSATION_TURN') continue;
      lines.push(`${data.turn} ${data.name} (${data.part}): ${data.text ?? data.kind}`);
      // After the first round a person has them end.
      if (data.turn === 3) await client.conversations.say(talk.id, '[[say:I rest my case. [END] ]]');
    }
    assert.deepEqual(
      lines.slice(0, 3).map((line) => line.replace(/\.$/, '')),
      [
        '1 agent-1 (for): These are my grounds',
        '2 agent-2 (against): These are my grounds',
        '3 agent-3 (third view): These are my grounds',
      ],
    );
    assert.deepEqual(
      lines
        .slice(-3)
        .map((line) => line.replace(/^\d+ /, ''))
        .toSorted(),
      ['agent-1 (for): I rest my case.', 'agent-2 (against): I rest my case.', 'agent-3 (third view): I rest my case.'],
    );
    assert.equal(ended?.reason, 'signal');
    assert.ok((ended.total_cost_usd ?? 0) > 0);
    const tried = (await client.tasks.list({ limit: 100 })).items.filter(({ agent_id: id }) => id === second);
    assert.ok(
      tried.some(({ attempt }) => attempt === 2),
      'the second turn was run again',
    );
    assert.equal(tried.length, lines.filter((line) => /^\d+ agent-2 /.test(line)).length, 'a task a turn');
    // Its agents go with its end.
    while ((await agentsLeft(cluster, 'debate-')) > 0) await sleep(100);
    assert.match(await client.conversations.markdown(talk.id), /## agent-2 \(against\)\n\nThese are my grounds\./);
    await client.conversations.delete(talk.id);
    assert.deepEqual(
      (await client.tasks.list({ limit: 100 })).items.filter(({ agent_id: id }) => id === second),
      [],
      'with the sessions that were made for it',
    );
  });

  it('an agent uses the agent tools that it was given, and no others', async () => {
    const agents = new AgentsOver(() => cluster.url, cluster.token);
    await agents.register({ agent_id: 'peer' });
    await agents.register({ agent_id: 'boss', kind: 'managed', agent_tools: ['messages', 'shared', 'spawn'] });
    const call = (tool: string, input: object): string => `[[tool:mcp__ksi__${tool} ${JSON.stringify(input)}]]`;
    const deeds = [
      call('task_spawn', { prompt: 'Say MANGO', wait_s: 60 }),
      call('shared_set', { key: 'fruit', value: 'mango' }),
      call('message_send', { to: 'peer', content: 'It is a mango.' }),
      call('agents_list', {}),
    ];
    await agents.send({ from: 'peer', to: 'boss', content: `Find out. ${deeds.join(' ')}` });
    const [question, answer] = await untilTwo(() => agents.inbox('peer', '?wait=30'));
    assert.deepEqual([question?.from, question?.content], ['boss', 'It is a mango.']);
    // The answers of the tools, as the stand-in quotes them: of the last one that there is none.
    assert.match(answer?.content ?? '', /"status":"completed","ended":true,"result":"[^]*Say MANGO/);
    assert.match(answer?.content ?? '', /No such tool available: mcp__ksi__agents_list/);
    const shared = await agents.ask('GET', '/shared/fruit');
    assert.deepEqual([shared.body['value'], shared.body['by']], ['mango', 'boss']);
    const { items: tasks } = await client.tasks.list({ limit: 100 });
    const [child] = tasks.filter(({ spawned_by: parent }) => parent !== undefined);
    assert.deepEqual([child?.status, child?.agent_id, child?.depth], ['completed', 'boss', 1]);
  });
});

async function untilTwo<T>(read: () => Promise<readonly T[]>): Promise<readonly T[]> {
  for (;;) {
    const found = await read();
    if (found.length >= 2) return found;
  }
}

async function agentsLeft({ url, token }: TestCluster, prefix: string): Promise<number> {
  const answer = await fetch(`${url}/agents?limit=500`, { headers: { authorization: `Bearer ${token}` } });
  const { items: agents } = (await answer.json()) as { items: { agent_id: string }[] };
  return agents.filter(({ agent_id: id }) => id.startsWith(prefix)).length;
}
