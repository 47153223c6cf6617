import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { once } from 'node:events';
import { appendFile, link, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { AGENT_PATTERN } from '../../contracts/agents/agents.js';
import { check } from '../../contracts/wire/check.js';
import { LEGACY_COMMAND_NAMES } from '../../contracts/bridge/legacy.js';
import { MessageRequest } from '../../contracts/agents/messages.js';
import { OPERATIONS } from '../../contracts/api/operations.js';
import { ksiAgentId, legacyAgentId } from '../../src/bridge/agent-ids.js';
import { plainMessage } from '../../src/bridge/errors.js';
import { fitting } from '../../src/bridge/handlers/fitting.js';
import { checkRequest, readLine } from '../../src/bridge/envelope.js';
import { cleanUp } from '../../src/bridge/files/clean-up.js';
import { MessageLog } from '../../src/bridge/files/message-log.js';
import { Mirror } from '../../src/bridge/files/mirror.js';
import { SessionLog } from '../../src/bridge/files/session-log.js';
import { makeWorkDir, workDir } from '../../src/bridge/files/work-dir.js';
import { LineMemoryLimit, LineReader } from '../../src/bridge/lines.js';
import { SocketListener } from '../../src/bridge/listener.js';
import { messageOf, pushed } from '../../src/bridge/messages.js';
import { logOfTranscript, transcriptOfLog } from '../../src/bridge/migration/transcripts.js';
import { PatientTransport } from '../../src/bridge/patient-transport.js';
import { forwarded, strays } from '../../src/bridge/upstream.js';
import { createProgram } from '../../src/cli/program.js';
import { checkCluster } from '../../src/doctor/cluster.js';
import type { Finding } from '../../src/doctor/finding.js';
import type { ClusterStatus } from '../../src/cluster/supervisor.js';
import { KsiClient } from '../../src/client/client.js';
import { KsiUnreachableError } from '../../src/client/errors.js';
import type { Transport } from '../../src/client/transport.js';
import { ifExists } from '../../src/if-exists.js';
import { REPO_ROOT } from '../fixtures/paths.js';

describe('bridge: ids of agents', () => {
  const legacyIds = fc.oneof(fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }), fc.constantFrom('alice', 'a.b', '_', 'legacy-YS5i', 'legacy-x')); // prettier-ignore

  it('are valid in KSI and convert back unchanged', () => {
    fc.assert(
      fc.property(legacyIds, (legacy) => {
        fc.pre(Buffer.byteLength(legacy) <= 42);
        const id = ksiAgentId(legacy, 'agent_id');
        assert.match(id, new RegExp(AGENT_PATTERN));
        assert.equal(legacyAgentId(id), legacy);
      }),
    );
  });

  it('are unique and unchanged where possible', () => {
    assert.equal(ksiAgentId('worker_1-a', 'agent_id'), 'worker_1-a');
    assert.notEqual(ksiAgentId('a.b', 'agent_id'), ksiAgentId(ksiAgentId('a.b', 'agent_id'), 'agent_id'));
    assert.throws(() => ksiAgentId('ü'.repeat(22), 'parameters.agent_id'), /parameters\.agent_id/);
  });
});

describe('bridge: lines', () => {
  const push = (lines: LineReader, ...chunks: string[]): string[] =>
    chunks.flatMap((chunk) => lines.push(Buffer.from(chunk)).map(String));

  it('are the same however the chunks are split', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.nat(20)), (texts, cuts) => {
        const all = Buffer.from(texts.map((text) => text.replaceAll('\n', ' ')).join('\n'));
        const lines = new LineReader(1_000, new LineMemoryLimit(10_000));
        const got: string[] = [];
        let at = 0;
        for (const cut of [...cuts, all.length]) {
          got.push(...lines.push(all.subarray(at, at + cut)).map(String));
          at += cut;
        }
        assert.equal([...got, String(lines.rest())].join('\n'), all.toString());
      }),
    );
  });

  it('have a size limit, each and in total', () => {
    const memory = new LineMemoryLimit(10);
    const [one, other] = [new LineReader(8, memory), new LineReader(8, memory)];
    assert.deepEqual(push(one, 'abcdefg', 'h\n'), ['abcdefgh']);
    assert.throws(() => push(one, 'abcdefghi'), /longer than 8/);
    push(one, 'abcdef');
    assert.throws(() => push(other, 'ghijk'), /too many/);
    one.rest();
    assert.deepEqual(push(other, 'ghijk\n'), ['ghijk']);
  });
});

describe('bridge: requests', () => {
  const checked = (object: object) => checkRequest(readLine(Buffer.from(JSON.stringify(object))));

  it('may have null for optional fields, and unknown parameters', () => {
    const asked = { command: 'SPAWN', version: '2.0', parameters: { mode: 'sync', type: 'claude', prompt: 'x', session_id: null, extra: 1 }, metadata: null }; // prettier-ignore
    assert.deepEqual(checked(asked).parameters, { mode: 'sync', type: 'claude', prompt: 'x', extra: 1 });
    assert.deepEqual(checked({ command: 'SET_SHARED', version: '2.0', parameters: { key: 'k', value: null } }).parameters, { key: 'k', value: null }); // prettier-ignore
  });

  it('are refused with the name of the invalid field', () => {
    for (const [object, named] of [
      [{ command: 'GET_AGENTS' }, /version/],
      [{ command: 'GET_AGENTS', version: '1.0' }, /version/],
      [{ version: '2.0' }, /command/],
      [{ command: 'get_agents', version: '2.0' }, /command: "get_agents"/],
      [{ command: 'toString', version: '2.0' }, /command: "toString"/],
      [{ command: 'GET_AGENTS', version: '2.0', more: 1 }, /more/],
      [
        { command: 'SUBSCRIBE', version: '2.0', parameters: { agent_id: 'a', event_types: [] } },
        /parameters\.event_types/,
      ],
    ] as const)
      assert.throws(() => checked(object), { code: 'INVALID_COMMAND', message: named });
  });
});

describe('bridge: messages', () => {
  it('are unchanged except for the envelope', () => {
    const key = fc.constantFrom('to', 'content', 'conversation_id', 'task', 'required_capabilities', 'reply_to', 'x');
    const type = fc.constantFrom('DIRECT_MESSAGE', 'TASK_ASSIGNMENT', 'BROADCAST', 'TOOL_CALL');
    const value = fc.oneof(fc.constantFrom('bob', 'b.c', 'c 1'), fc.jsonValue());
    fc.assert(
      fc.property(type, fc.dictionary(key, value), (kind, payload) => {
        fc.pre(payload['to'] === undefined || ['bob', 'b.c', 'c 1'].some((id) => id === payload['to']));
        const request = messageOf(kind, payload);
        assert.deepEqual(check(MessageRequest, request).ok, true);
        const { id, type: pushedType, from, timestamp, ...rest } = pushed({ ...request, type: kind, message_id: 'm', owner: 'local', from: 'legacy-YS5i', timestamp: 't' }); // prettier-ignore
        assert.deepEqual([id, pushedType, from, timestamp], ['m', kind, 'a.b', 't']);
        assert.deepEqual(JSON.parse(JSON.stringify(rest)), JSON.parse(JSON.stringify(payload)));
      }),
    );
  });

  it('without an agent come from the daemon or the owner', () => {
    const message = { message_id: 'm', owner: 'ann', timestamp: 't', payload: { from: 'forged', process_id: 'p' } };
    assert.equal(pushed({ ...message, type: 'PROCESS_COMPLETE' })['from'], 'daemon');
    assert.equal(pushed({ ...message, type: 'DIRECT_MESSAGE' })['from'], 'ann');
  });
});

describe('bridge: commands for the legacy daemon', () => {
  it('are selected by name', () => {
    assert.deepEqual([...forwarded('SPAWN, GET_AGENTS')], ['SPAWN', 'GET_AGENTS']);
    const most = forwarded('all,-SPAWN');
    assert.deepEqual(
      LEGACY_COMMAND_NAMES.filter((name) => !most.has(name)),
      ['SPAWN', 'RELOAD_DAEMON', 'SHUTDOWN'],
    );
    assert.ok(forwarded('all,SHUTDOWN').has('SHUTDOWN'));
    assert.throws(() => forwarded('SPAWNN'), /"SPAWNN" is not a command/);
    assert.deepEqual(strays(forwarded('all')), []);
    assert.deepEqual(strays(forwarded('PUBLISH')), ['PUBLISH']);
  });
});

describe('bridge: answers', () => {
  it('fit into a line of 64 KiB, and count what does not', () => {
    const entries = Array.from({ length: 2_000 }, (_, at) => [`agent_${at}`, { role: 'ä'.repeat(40) }] as const);
    const { shown, omitted = 0 } = fitting(entries);
    const bytes = Buffer.byteLength(JSON.stringify(shown));
    assert.ok(bytes < 61 * 1024 && bytes > 55 * 1024);
    assert.equal(Object.keys(shown).length + omitted, 2_000);
    assert.ok('agent_0' in shown);
    assert.deepEqual(fitting([['a', 1]]), { shown: { a: 1 } });
  });

  it('say nothing of HTTP', () => {
    const told = new Error('`name` must match "^a. b$". Correct the fields named in `errors`; the schema is at /docs.');
    assert.equal(plainMessage(told), '`name` must match "^a. b$".');
    assert.equal(
      plainMessage(new Error('There is no composition x. GET /compositions lists them')),
      'There is no composition x.',
    );
    assert.doesNotMatch(plainMessage(new KsiUnreachableError('http://127.0.0.1:8000', undefined)), /http/);
  });
});

describe('bridge: calls', () => {
  const options = { idempotencyKey: undefined };
  const inner = (call: (signal: AbortSignal) => Promise<unknown>): Transport =>
    ({
      url: 'http://ksi',
      call: (_name: string, _request: object, { signal }: { signal: AbortSignal }) => call(signal),
    }) as unknown as Transport;

  it('fail in time if the API is frozen', async () => {
    const frozen = inner((signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))); // prettier-ignore
    await assert.rejects(new PatientTransport(frozen, 20).call('health', {}, options), KsiUnreachableError);
  });

  it('outlast a short restart of the API, and only that', async () => {
    let tries = 0;
    const refused = new KsiUnreachableError(
      'http://ksi',
      Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    );
    const restarting = inner(() => ((tries += 1) < 2 ? Promise.reject(refused) : Promise.resolve('up')));
    assert.equal(await new PatientTransport(restarting).call('health', {}), 'up');
    const broken = inner(() => Promise.reject(new KsiUnreachableError('http://ksi', new Error('broke off'))));
    await assert.rejects(new PatientTransport(broken).call('spawn', { prompt: 'x' }), /does not answer/);
  });
});

describe('bridge: sockets and files', () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'ksi-bridge-'));
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('replaces a dead socket and no other file', async () => {
    const path = join(root, 'made', 'a.sock');
    const first = await open(path);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(join(root, 'made'))).mode & 0o777, 0o700);
    await assert.rejects(open(path), /listens on .* already/);
    await first.close();
    assert.equal(await ifExists(stat(path)), undefined);
    // As a killed process leaves it: a server in a child would do the same, slower.
    const dead = createServer().listen(join(root, 'dead.sock'));
    await new Promise((resolve) => dead.once('listening', resolve));
    await rename(join(root, 'dead.sock'), path);
    await new Promise((resolve) => dead.close(resolve));
    const second = await open(path);
    await second.close();
    await writeFile(path, 'precious');
    await assert.rejects(open(path), /is not a socket/);
    assert.equal(await readFile(path, 'utf8'), 'precious');
    await assert.rejects(open(join(root, 'x'.repeat(120))), /is longer than/);
  });

  it('takes its socket back from another process, and leaves that process its own', async () => {
    const path = join(root, 'taken.sock');
    let wake = (): void => undefined;
    const back = new Promise<void>((resolve) => (wake = resolve));
    const own = await SocketListener.open({
      path,
      onConnection: (socket) => socket.end('bridge'),
      onTakenBack: () => Promise.resolve(wake()),
      onFailure: (error) => assert.fail(String(error)),
    });
    const daemon = createServer((socket) => socket.end('daemon')).listen(join(root, 'daemon.sock'));
    await once(daemon, 'listening');
    await link(join(root, 'daemon.sock'), join(root, 'replacement.sock'));
    renameSync(join(root, 'replacement.sock'), path);
    const { status, found } = await askDoctor(join(root, 'daemon.sock'));
    assert.equal(status, 'failed');
    assert.match(found, /does not speak the old daemon's protocol.* daemon$/s);
    await back;
    assert.equal(await readAll(path), 'bridge');
    renameSync(join(root, 'daemon.sock'), path);
    await own.close();
    assert.equal(await readAll(path), 'daemon', 'a bridge that ends removes only its own socket');
    daemon.close();
  });

  it('writes each message once, even if it is killed in between', async () => {
    const dir = workDir(join(root, 'log'));
    await makeWorkDir(dir);
    const first = new MessageLog(dir);
    assert.equal(await first.open(), undefined);
    await first.append({ id: 'a', n: 1 }, '1');
    await first.keep();
    await first.append({ id: 'b', n: 2 }, '2');
    const file = join(dir.logs, 'message_bus.jsonl');
    // … and in the middle of a line.
    await writeFile(file, `${await readFile(file, 'utf8')}{"id":"c","n"`);
    const second = new MessageLog(dir);
    assert.equal(await second.open(), '1');
    await second.append({ id: 'b', n: 2 }, '2');
    await second.append({ id: 'd', n: 4 }, '3');
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    assert.deepEqual(lines, ['{"id":"a","n":1}', '{"id":"b","n":2}', '{"id":"c","n"', '{"id":"d","n":4}']);
  });

  it('keeps files that people have changed', async () => {
    const dir = workDir(join(root, 'mirror'));
    await makeWorkDir(dir);
    const path = join(dir.profiles, 'p.json');
    assert.equal(await new Mirror(dir).put(path, 'one'), true);
    assert.equal(await new Mirror(dir).put(path, 'two'), true);
    await writeFile(path, 'mine');
    const mirror = new Mirror(dir);
    assert.equal(await mirror.put(path, 'three'), false);
    assert.equal(await mirror.isOwn(path), false);
    assert.equal(await readFile(path, 'utf8'), 'mine');
  });

  it('removes only its own files', async () => {
    const dir = workDir(join(root, 'clean'));
    await makeWorkDir(dir);
    const session = `${'1'.repeat(8)}-1111-4111-8111-${'1'.repeat(12)}.jsonl`;
    for (const path of [
      join(dir.logs, session),
      join(dir.logs, 'message_bus.jsonl'),
      join(dir.logs, 'notes.txt'),
      join(dir.sockets, 'claude_last_output.json'),
    ])
      await writeFile(path, 'x');
    assert.match(
      await cleanUp('all', dir, join(dir.sockets, 'claude_daemon.sock')),
      /Removed 1 log files.*Removed 1 socket files/,
    );
    assert.equal(await readFile(join(dir.logs, 'notes.txt'), 'utf8'), 'x');
    assert.equal(await readFile(join(dir.logs, 'message_bus.jsonl'), 'utf8'), 'x');
    assert.match(await cleanUp('nothing', dir, ''), /logs, sessions, sockets, all/);
  });

  it('converts a log into the same transcript each time, and a transcript into a log', () => {
    const log = [
      { timestamp: '2025-01-01T00:00:00Z', type: 'human', content: 'hi' },
      { timestamp: '2025-01-01T00:00:01Z', type: 'claude', result: 'hello' },
      { timestamp: '2025-01-01T00:00:02Z', type: 'claude', error: 'it failed' },
    ];
    const entries = transcriptOfLog('s', log);
    assert.deepEqual(entries, transcriptOfLog('s', log));
    assert.equal(entries[1]?.['parentUuid'], entries[0]?.uuid);
    assert.deepEqual(logOfTranscript('s', entries), [log[0], { ...log[1], session_id: 's' }]);
  });

  it('a run is in the log of its session once, even if a bridge crashed while writing it', async () => {
    const dir = workDir(join(root, 'session-log'));
    await makeWorkDir(dir);
    const log = new SessionLog(dir);
    const sessionId = '6b6a7c1e-8a4e-4b52-9f3c-0d9f0e6f1a11';
    const run = (processId: string) => ({
      sessionId,
      processId,
      prompt: `"process_id":"b"`,
      askedAt: '',
      endedAt: '',
      result: { result: 'x' },
    });
    assert.equal(await log.has(run('a')), false);
    await log.append(run('a'));
    assert.deepEqual([await log.has(run('a')), await log.has(run('b'))], [true, false]);
    const file = join(dir.logs, `${sessionId}.jsonl`);
    await appendFile(file, '{"type":"claude","process_id":"b"');
    assert.equal(await log.has(run('b')), false);
    await log.append(run('b'));
    assert.equal((await readFile(file, 'utf8')).split('\n').filter((line) => line.endsWith('}')).length, 4);
  });
});

describe('docs/migration.md: old command, new route', async () => {
  const text = await readFile(join(REPO_ROOT, 'docs', 'migration.md'), 'utf8');
  const table = text.slice(text.indexOf('## Old command, new route'), text.indexOf('## What differs'));

  it('names every old command', () => {
    const named = new Set(table.match(/\b[A-Z][A-Z_]{3,}\b/g));
    const identities = ['CREATE_', 'UPDATE_', 'GET_', 'REMOVE_'].map((verb) => `${verb}IDENTITY`);
    const missing = LEGACY_COMMAND_NAMES.filter(
      (name) => !named.has(name) && ![...identities, 'LIST_IDENTITIES'].includes(name),
    );
    assert.deepEqual(missing, []);
  });

  it('names existing ksi commands', async () => {
    const program = await createProgram();
    for (const [, name = '', below] of table.matchAll(/`ksi ([a-z]+)(?: ([a-z]+))?/g)) {
      const command = program.commands.find((each) => each.name() === name);
      assert.ok(command !== undefined, name);
      if (below !== undefined && command.commands.length > 0)
        assert.ok(command.commands.some((each) => each.name() === below), `${name} ${below}`); // prettier-ignore
    }
  });

  it('names existing routes and client methods', () => {
    const routes = new Set(
      Object.values(OPERATIONS).map(({ method, path }) => `${method} ${path.replace(/\/:.*$/, '')}`),
    );
    const others = ['GET /events', 'GET /openapi.json'];
    for (const [, method = '', path = ''] of table.matchAll(/`(GET|POST|PUT|PATCH|DELETE) (\/[a-z.]+)/g))
      assert.ok([...others].includes(`${method} ${path}`) || [...routes].some((route) => route.startsWith(`${method} ${path}`)), `${method} ${path}`); // prettier-ignore
    const client = new KsiClient({ url: 'http://127.0.0.1:1', token: 'x' }) as unknown as Record<
      string,
      Record<string, unknown>
    >;
    for (const [, resource = '', method = ''] of table.matchAll(/`(?:await )?ksi\.([a-z]+)(?:\.([a-z]+)\()?/g))
      assert.ok(client[resource] !== undefined && (method === '' || typeof client[resource][method] === 'function'), `ksi.${resource}.${method}`); // prettier-ignore
  });
});

/** Opens a listener that greets nobody. */
const open = (path: string): Promise<SocketListener> =>
  SocketListener.open({
    path,
    onConnection: (socket) => socket.end(),
    onTakenBack: () => Promise.resolve(),
    onFailure: () => undefined,
  });

/** The finding of `ksi doctor` for a cluster whose bridge should listen at `bridge`. */
async function askDoctor(bridge: string): Promise<Finding> {
  const processes = [{ name: 'bridge', role: 'bridge', state: 'running', restarts: 0 }];
  let last: Finding | undefined;
  for await (const finding of checkCluster({ processes, endpoints: { apis: [], bridge } } as unknown as ClusterStatus))
    last = finding;
  assert.ok(last !== undefined);
  return last;
}

async function readAll(path: string): Promise<string> {
  let text = '';
  for await (const part of connect(path).setEncoding('utf8')) text += String(part);
  return text;
}
