import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { v4 as uuidv4 } from 'uuid';
import type { Conversation } from '../../contracts/conversations/conversations.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

describe('conversations by ksi', () => {
  let lab: ApiLab;
  let api: AgentsOver;
  before(async () => {
    lab = await ApiLab.start();
    api = new AgentsOver(() => lab.url);
  });
  after(() => lab.stop());

  const start = (...args: string[]) =>
    spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, KSI_URL: lab.url, KSI_TOKEN: TOKEN, NO_COLOR: '1' },
    });
  const finished = async (child: ReturnType<typeof start>) => {
    const [[code], out, err] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
    return { code: code as number | null, out, err };
  };
  const ksi = (...args: string[]) => finished(start(...args));
  const cast = async (): Promise<[string, string]> => {
    const tail = uuidv4().slice(0, 8);
    for (const name of ['ann', 'bob']) await api.register({ agent_id: `${name}-${tail}` });
    return [`ann-${tail}`, `bob-${tail}`];
  };
  const speak = async (agentId: string, content: string): Promise<string> => {
    const [turn] = await api.inbox(agentId, '?wait=30&limit=1');
    const { conversation_id = '', seq } = turn ?? assert.fail('no turn');
    await api.send({ type: 'CONVERSATION_ANSWER', from: agentId, conversation_id, content });
    await api.ack(agentId, seq);
    return conversation_id;
  };

  it('orchestrate prints what is said, by whom, to the end', async () => {
    const [ann, bob] = await cast();
    const running = ksi('orchestrate', '--participants', `${ann},${bob}`, '--max-turns', '2', 'Tabs', 'or', 'spaces?');
    await speak(ann, 'Tabs.');
    const id = await speak(bob, 'Spaces.');
    const { code, out, err } = await running;
    assert.equal(out, `${ann} (for): Tabs.\n\n${bob} (against): Spaces.\n\n`);
    assert.match(err, /ended \(turns\) after 2 turns/);
    assert.equal(code, 0);
    assert.match((await ksi('conversations')).out, new RegExp(`${id} +debate +ended \\(turns\\) +2/2`));
    assert.match(
      (await ksi('conversations', 'transcript', id)).out,
      /^# Tabs or spaces\?[\s\S]*\(against\)\n\nSpaces\.\n$/,
    );
    const followed = await ksi('conversations', 'follow', id, '-o', 'jsonl');
    assert.deepEqual(
      followed.out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { type: string }).type),
      ['CONVERSATION_STARTED', 'CONVERSATION_TURN', 'CONVERSATION_TURN', 'CONVERSATION_ENDED'],
    );
    assert.equal((await ksi('delete', 'conversation', id)).code, 0);
    assert.equal((await ksi('conversations', 'show', id)).code, 1);
  });

  it('Ctrl-C leaves it to go on; it is paused, joined, resumed and ended', async () => {
    const [ann, bob] = await cast();
    const child = start('orchestrate', '--mode', 'analysis', '--participants', `${ann},${bob}`, 'Why?');
    const running = finished(child);
    const id = await speak(ann, 'Look there.');
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    const { code, err } = await running;
    assert.deepEqual([code, err.includes(`ksi conversations follow ${id}`)], [130, true]);
    const one = async (...args: string[]): Promise<Conversation> => {
      const { code, out, err } = await ksi('conversations', ...args, '-o', 'json');
      assert.equal(code, 0, err);
      return JSON.parse(out) as Conversation;
    };
    assert.equal((await one('pause', id)).status, 'paused');
    assert.equal((await one('say', id, '--name', 'eve', '--next', ann, 'Look', 'here.')).next, ann);
    assert.equal((await one('resume', id)).speaking?.name, bob);
    assert.match((await ksi('conversations', 'show', id)).out, /topic +Why\?[\s\S]*speaking +bob/);
    assert.deepEqual([(await one('end', id)).reason, (await one('show', id)).status], ['decision', 'ended']);
    const late = await ksi('conversations', 'say', id, 'x');
    assert.deepEqual([late.code, late.err.includes('conversation_ended')], [1, true]);
    const unknown = await ksi('orchestrate', '--participants', `${ann},nobody`, 'x');
    assert.deepEqual([unknown.code, unknown.err.includes('nobody')], [1, true]);
    assert.equal((await ksi('orchestrate', '--mode', 'quarrel', 'x')).code, 2);
  });
});
