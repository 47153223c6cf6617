import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ApiLab, TOKEN } from '../fixtures/api.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

describe('ksi shared, profiles and compositions', () => {
  let lab: ApiLab;
  let dir: string;
  before(async () => {
    lab = await ApiLab.start();
    dir = await mkdtemp(join(tmpdir(), 'ksi-cli-'));
  });
  after(async () => {
    await lab.stop();
    await rm(dir, { recursive: true });
  });

  const start = (args: readonly string[]): ChildProcess =>
    spawn(process.execPath, [MAIN, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, KSI_URL: lab.url, KSI_TOKEN: TOKEN },
    });
  const ksi = async (args: readonly string[], input = ''): Promise<{ code: unknown; out: string; err: string }> => {
    const child = start(args);
    child.stdin?.end(input);
    assert.ok(child.stdout !== null && child.stderr !== null);
    const [[code], out, err] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
    return { code: code as unknown, out, err };
  };

  it('sets, gets, lists, watches and deletes', async () => {
    const watching = start(['shared', 'watch', '--prefix', 'a/', '--since', '0']);
    assert.ok(watching.stdout !== null);
    const lines = createInterface(watching.stdout)[Symbol.asyncIterator]();
    const next = async () => JSON.parse(String((await lines.next()).value)) as Record<string, unknown>;
    const first = await ksi(['shared', 'set', 'a/b', '{"n": 1}', '--revision', '0', '-o', 'json']);
    assert.equal(first.code, 0, first.err);
    const { revision } = JSON.parse(first.out) as { revision: number };
    assert.deepEqual((await next())['value'], { n: 1 });
    const again = await ksi(['shared', 'set', 'a/b', '2', '--revision', '0']);
    assert.deepEqual([again.code, again.out], [1, '']);
    assert.match(again.err, new RegExp(`revision_mismatch.*revision is ${revision}`));
    assert.equal((await ksi(['shared', 'set', 'a/b'], 'Hello\n')).code, 0);
    assert.equal((await next())['value'], 'Hello');
    assert.equal((await ksi(['shared', 'get', 'a/b'])).out, 'Hello\n');
    await ksi(['shared', 'set', 'n', '5', '--text']);
    assert.deepEqual(
      (JSON.parse((await ksi(['shared', 'get', 'n', '-o', 'json'])).out) as { value: unknown }).value,
      '5',
    );
    assert.match((await ksi(['shared', '--prefix', 'a/'])).out, /^KEY +REVISION.*\na\/b +\d+ +7 /);
    assert.equal((await ksi(['shared', 'delete', 'a/b', '--yes'])).code, 0);
    assert.equal((await next())['deleted'], true);
    assert.match((await ksi(['shared', 'get', 'a/b'])).err, /not_found/);
    assert.equal((await ksi(['shared', 'set', 'empty'])).code, 2, 'no value');
    const closed = once(watching, 'close');
    watching.kill('SIGINT');
    assert.deepEqual((await closed)[0], 0);
  });

  it('makes agents, and gives them tasks', async () => {
    const made = await ksi(['agents', 'spawn', '--id', 'rev', '--profile', 'reviewer', 'Review', 'it', '--about', 'x']);
    assert.deepEqual([made.code, made.out], [0, 'rev\n'], made.err);
    assert.match(made.err, /composition reviewer[^]*message [0-9a-f-]{36}/);
    const named = await ksi(['agents', 'spawn', '--composition', 'conversation_debate', '--set', 'topic=tea']);
    assert.equal(named.code, 0, named.err);
    assert.match(
      (await ksi(['agents', 'spawn', '--composition', 'conversation_debate'])).err,
      /context_missing.*topic/,
    );
    const routed = await ksi(['agents', 'route', 'Look', '--needs', 'code_review', 'security_review']);
    assert.deepEqual([routed.out, /Match score: 2/.test(routed.err)], ['rev\n', true]);
    assert.equal((await ksi(['agents', 'route', 'Fly', '--needs', 'wings'])).code, 1);
    assert.match((await ksi(['agents'])).out, /\nrev +managed +active +reviewer/);
  });

  it('keeps profiles, and composes', async () => {
    const file = join(dir, 'mine.json');
    await writeFile(file, '{"role": "scout", "capabilities": ["maps"]}');
    assert.equal((await ksi(['profiles', 'set', 'mine', file])).code, 0);
    assert.match((await ksi(['profiles'])).out, /\nmine +api +scout +maps/);
    assert.match((await ksi(['profiles', 'show', 'reviewer'])).out, /^name +reviewer\n/);
    await writeFile(file, '{"roel": "x"}');
    const wrong = await ksi(['profiles', 'set', 'mine', file]);
    assert.deepEqual([wrong.code, /`roel`/.test(wrong.err)], [2, true]);
    assert.equal((await ksi(['profiles', 'delete', 'mine', '--yes'])).code, 0);
    const composed = await ksi([
      'compositions',
      'compose',
      'conversation_debate',
      '--set',
      'agent_id=ann',
      '--set',
      'topic=a=b',
      '--set',
      'agent_number=2',
    ]);
    assert.match(composed.out, /^You are `ann`[^]*topic: a=b[^]*Your side: against/);
    const lacking = await ksi(['compositions', 'validate', 'conversation_debate', '--set', 'agent_id=ann']);
    assert.deepEqual([lacking.code, lacking.out], [1, 'The context lacks topic\n']);
    const chosen = await ksi(['compositions', 'select', '--role', 'tester']);
    assert.deepEqual([chosen.out, /Score 30: role tester/.test(chosen.err)], ['tester\n', true]);
    assert.match(
      (await ksi(['compositions', 'show', 'coder'])).out,
      /components\n {2}components\/common\/identity\.md\n/,
    );
    assert.match(
      (await ksi(['compositions', 'list', '--category', 'conversation'])).out,
      /conversation_teaching +library/,
    );
    assert.match((await ksi(['compositions', 'components', '--directory', 'roles'])).out, /^roles\/agent\.md\n/);
  });
});
