import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LEGACY_COMMAND_NAMES } from '../../contracts/bridge/legacy.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';
import { BridgeProcess, LegacyClient, type Told } from '../fixtures/legacy.js';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';
import { without } from '../fixtures/tools.js';

interface LegacyAnswer {
  status: string;
  command?: string;
  result: Told;
  error?: { code: string; message: string; timestamp: string };
}

/** A connection of an old client, kept open. */
class LegacyConnection {
  readonly #socket: Socket;
  readonly #lines: Interface;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = createInterface({ input: socket });
  }

  static async open(path: string): Promise<LegacyConnection> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new LegacyConnection(socket);
  }

  async ask(command: string, parameters: object): Promise<LegacyAnswer> {
    this.#socket.write(`${JSON.stringify({ command, version: '2.0', parameters })}\n`);
    const [line] = (await once(this.#lines, 'line')) as [string];
    const answer = JSON.parse(line) as LegacyAnswer;
    assert.equal(answer.status, 'success', line);
    return answer;
  }

  /** Resolves when the bridge has closed its side too. */
  async close(): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.end();
    await closed;
  }
}

async function askOnce(path: string, command: string, parameters: object): Promise<LegacyAnswer> {
  const connection = await LegacyConnection.open(path);
  try {
    return await connection.ask(command, parameters);
  } finally {
    await connection.close();
  }
}

describe('clients of the old daemon, at a bridge of `make up BRIDGE=1`', { skip: without('python3') }, () => {
  let cluster: TestCluster;
  let prompts: string;
  let work: string;
  let socket: string;
  before(async () => {
    prompts = await mkdtemp(join(tmpdir(), 'ksi-prompts-'));
    await mkdir(join(prompts, 'compositions'));
    await mkdir(join(prompts, 'components', 'hi'), { recursive: true });
    await writeFile(join(prompts, 'compositions', 'greeting.yaml'), GREETING);
    await writeFile(join(prompts, 'components', 'hi', 'hello.md'), 'Hello {{who}}, I am {{mood}}.\n');
    await writeFile(join(prompts, 'components', 'hi', 'never.md'), 'Never.\n');
    await writeFile(join(prompts, 'compositions', 'conversation_debate.yaml'), OLD_DEBATE);
    await writeFile(
      join(prompts, 'components', 'hi', 'debater.md'),
      '{{agent_role}} {{participant_number}} of "{{topic}}". Commands: {{daemon_commands}}\n',
    );
    await writeFile(join(prompts, 'components', 'top.md'), 'Top.\n');
    cluster = await startCluster({
      KSI_BRIDGE: '1',
      KSI_CLAUDE_BIN: CLAUDE_STANDIN,
      KSI_PROMPTS: prompts,
      KSI_LOG_LEVEL: 'info',
    });
    work = join(cluster.dir, 'bridge');
    socket = join(work, 'sockets', 'claude_daemon.sock');
  });
  after(async () => {
    await cluster.stop();
    await rm(prompts, { recursive: true, force: true });
  });

  it('are answered, one of each command', async () => {
    const received = await new LegacyClient(socket, 'each.py', work).all();
    const answers = new Map<string, LegacyAnswer[]>();
    for (const { command, answer } of received)
      if (typeof command === 'string') answers.set(command, [...(answers.get(command) ?? []), answer as LegacyAnswer]);
    const results = (command: string): Told[] => (answers.get(command) ?? []).map(({ result }) => result);
    const errors = (command: string): (string | undefined)[] =>
      (answers.get(command) ?? []).map(({ error }) => error?.code);
    const all = (...commands: string[]): void => {
      for (const command of commands)
        assert.deepEqual(
          errors(command),
          results(command).map(() => undefined),
          command,
        );
    };
    assert.deepEqual(new Set([...answers.keys(), 'SHUTDOWN']), new Set(LEGACY_COMMAND_NAMES));
    all(
      'HEALTH_CHECK',
      'GET_COMMANDS',
      'REGISTER_AGENT',
      'GET_AGENTS',
      'ROUTE_TASK',
      'SET_SHARED',
      'GET_SHARED',
      'LOAD_STATE',
    );
    all(
      'SPAWN',
      'GET_PROCESSES',
      'AGENT_CONNECTION',
      'SUBSCRIBE',
      'MESSAGE_BUS_STATS',
      'PUBLISH',
      'RELOAD',
      'SPAWN_AGENT',
    );

    const [health] = results('HEALTH_CHECK');
    assert.equal(health?.['status'], 'healthy');
    assert.equal(health?.['message'], 'HEALTHY');
    const [commands = {}] = results('GET_COMMANDS');
    assert.equal(commands['total_commands'], 29);
    assert.equal((commands['commands'] as Record<string, Told>)['PUBLISH']?.['type'], 'message_bus');

    // Agents' ids are any text in the old protocol.
    assert.deepEqual(results('REGISTER_AGENT')[0], { status: 'registered', agent_id: 'worker bee.1' });
    const agents = results('GET_AGENTS')[0]?.['agents'] as Record<string, Told>;
    assert.deepEqual(agents['worker bee.1']?.['capabilities'], ['python', 'testing']);
    const [route] = results('ROUTE_TASK');
    assert.equal(route?.['status'], 'routed');
    assert.equal(route?.['assigned_agent'], 'worker bee.1');
    assert.equal(route?.['message'], 'TASK_ASSIGNMENT: Write a test\nCONTEXT: in Python');

    const [value, unset] = results('GET_SHARED');
    assert.deepEqual(value?.['value'], { nested: [1, null, 'ü'] });
    assert.equal(unset?.['value'], null);
    assert.deepEqual(results('LOAD_STATE')[0]?.['state_keys'], ['sessions', 'shared_state', 'agents']);

    const [made] = results('CREATE_IDENTITY');
    const identity = made?.['identity'] as Told;
    assert.equal(identity['display_name'], 'Coder-ee.1');
    assert.equal((identity['personality_traits'] as string[]).length, 4);
    const changed = results('UPDATE_IDENTITY')[0]?.['identity'] as Told;
    assert.equal(changed['display_name'], 'Bee');
    assert.equal(changed['identity_uuid'], identity['identity_uuid']);
    assert.equal(changed['agent_id'], 'worker bee.1');
    assert.deepEqual(errors('GET_IDENTITY'), [undefined, 'IDENTITY_NOT_FOUND']);

    const [composition] = results('GET_COMPOSITION').map((result) => result?.['composition'] as Told);
    assert.deepEqual(composition?.['required_context'], { who: 'whom to greet' });
    assert.deepEqual(errors('GET_COMPOSITION'), [undefined, 'COMPOSITION_NOT_FOUND']);
    assert.deepEqual(results('VALIDATE_COMPOSITION'), [
      { valid: false, missing_context: ['who'], required_context: { who: 'whom to greet' } },
      { valid: true, prompt_length: 21 },
    ]);
    assert.deepEqual(results('COMPOSE_PROMPT')[0], {
      prompt: 'Hello Ada, I am glad.',
      length: 21,
      composition: 'greeting',
    });
    assert.deepEqual(errors('COMPOSE_PROMPT'), [undefined, 'CONTEXT_VALIDATION_ERROR']);

    const [first, failed, empty, started] = results('SPAWN');
    assert.equal(first?.['result'], 'You said: Say hello');
    assert.equal(failed?.['error_code'], 'claude_crashed');
    assert.match(String(empty?.['error']), /prompt/);
    const processId = String(started?.['process_id']);
    const processes = results('GET_PROCESSES')[0]?.['processes'] as Record<string, Told>;
    assert.equal(processes[processId]?.['agent_id'], 'worker bee.1');

    assert.deepEqual(
      results('PUBLISH').map(({ status }) => status),
      ['delivered', 'queued', 'queued', 'error', 'broadcast', 'published', 'delivered', 'error'],
    );
    // To its subscribers, the sender among them, once; what the payload says of the envelope is not believed.
    const toldOf = (name: string): unknown => received.find((line) => name in line)?.[name];
    const pushed = toldOf('pushed') as Told[];
    assert.deepEqual(
      pushed.map(({ type }) => String(type)).toSorted((a, b) => a.localeCompare(b)),
      ['BROADCAST', 'DIRECT_MESSAGE', 'PROCESS_COMPLETE', 'TASK_ASSIGNMENT', 'TOOL_CALL'],
    );
    const call = pushed.find(({ type }) => type === 'TOOL_CALL');
    assert.deepEqual([call?.['from'], call?.['tool'], call?.['to']], ['worker bee.1', 'Bash', 'anyone']);
    const complete = pushed.find(({ type }) => type === 'PROCESS_COMPLETE');
    assert.deepEqual(
      [complete?.['from'], complete?.['process_id'], complete?.['status']],
      ['daemon', processId, 'success'],
    );
    const waited = toldOf('waited') as Told[];
    assert.deepEqual(
      waited.map(({ content }) => content),
      ['one', 'two'],
    );
    assert.equal((toldOf('inline') as LegacyAnswer).result['value'], 7);
    const stats = results('MESSAGE_BUS_STATS').at(-1);
    assert.deepEqual(stats?.['connected_agents'], []);
    assert.deepEqual(stats?.['subscriptions'], {});

    assert.match(String(results('RELOAD')[0]?.['message']), /helper/);
    const [agent] = results('SPAWN_AGENT');
    assert.equal(agent?.['status'], 'spawned');
    assert.equal(agent?.['agent_id'], 'helper-1');
    assert.match(String(agent?.['process_id']), /^[0-9a-f-]{36}$/);
  });

  it('see no agent as connected once its client has gone, and a new connection keeps its subscriptions', async () => {
    for (let round = 0; round < 20; round++) {
      const first = await LegacyConnection.open(socket);
      await first.ask('AGENT_CONNECTION', { action: 'connect', agent_id: 'restless' });
      await first.close();
      const stats = await askOnce(socket, 'MESSAGE_BUS_STATS', {});
      assert.deepEqual(stats.result['connected_agents'], [], `round ${round}`);

      const leaving = await LegacyConnection.open(socket);
      await leaving.ask('AGENT_CONNECTION', { action: 'connect', agent_id: 'restless' });
      const staying = await LegacyConnection.open(socket);
      await leaving.close();
      await staying.ask('AGENT_CONNECTION', { action: 'connect', agent_id: 'restless' });
      await askOnce(socket, 'SUBSCRIBE', { agent_id: 'restless', event_types: ['BROADCAST'] });
      const after = await askOnce(socket, 'MESSAGE_BUS_STATS', {});
      assert.deepEqual(after.result['subscriptions'], { BROADCAST: ['restless'] }, `round ${round}`);
      await staying.close();
    }
  });

  it('find their files in the working folder', async () => {
    const id = (await readFile(join(work, 'sockets', 'last_session_id'), 'utf8')).trim();
    assert.equal(await readlink(join(work, 'claude_logs', 'latest.jsonl')), `${id}.jsonl`);
    const log = (await readFile(join(work, 'claude_logs', 'latest.jsonl'), 'utf8')).trim().split('\n');
    assert.deepEqual(
      log.slice(0, 2).map((line) => (JSON.parse(line) as Told)['type']),
      ['human', 'claude'],
    );
    const bus = (await readFile(join(work, 'claude_logs', 'message_bus.jsonl'), 'utf8')).trim().split('\n');
    const ids = bus.map((line) => (JSON.parse(line) as Told)['id']);
    assert.equal(new Set(ids).size, ids.length);
    assert.match(await readFile(join(work, 'prompts', 'compositions', 'greeting.yaml'), 'utf8'), /whom to greet/);
    assert.match(await readFile(join(work, 'prompts', 'components', 'hi', 'hello.md'), 'utf8'), /Hello/);
  });

  it('send what the old daemon took, and get what it answered', async () => {
    const blank = connect(socket);
    blank.write('\n');
    const [answer] = (await once(createInterface({ input: blank }), 'line')) as [string];
    assert.equal((JSON.parse(answer) as LegacyAnswer).error?.code, 'INVALID_JSON');
    const traits = { patient: true, humour: 'dry', loud: false };
    const created = await askOnce(socket, 'CREATE_IDENTITY', { agent_id: 'eve', personality_traits: traits });
    assert.deepEqual((created.result['identity'] as Told)['personality_traits'], ['patient', 'humour: dry']);
    const { compositions } = (await askOnce(socket, 'GET_COMPOSITIONS', { include_metadata: false })).result;
    assert.deepEqual(Object.keys(compositions as Told), ['conversation_debate', 'greeting']);
    for (const name of Object.keys(compositions as Told))
      await stat(join(work, 'prompts', 'compositions', `${name}.yaml`));
    const { by_directory: folders } = (await askOnce(socket, 'LIST_COMPONENTS', {})).result;
    assert.deepEqual((folders as Told)[''], ['top.md']);
    const refused = await cluster.ksi(['bridge', 'ask', 'VALIDATE_COMPOSITION', '{"name": "no name", "context": {}}'], {
      env: { KSI_BRIDGE_DIR: work },
    });
    assert.match(refused.stderr, /must match pattern/);
    assert.doesNotMatch(refused.stderr, /docs|`errors`|GET \//);
  });

  it('talk with each other over two bridges, begun by an orchestrator, watched by a monitor', async () => {
    const other = await BridgeProcess.start(cluster.env, join(cluster.dir, 'other'));
    try {
      const monitor = new LegacyClient(
        other.socket,
        'monitor.py',
        'DIRECT_MESSAGE,PROCESS_COMPLETE,CONVERSATION_INVITE',
      );
      const alice = new LegacyClient(socket, 'agent.py', 'alice', '2');
      const bob = new LegacyClient(other.socket, 'agent.py', 'bob', '2');
      await new LegacyClient(socket, 'orchestrator.py', 'alice', 'bob').all();
      const aliceAnswers = await alice.all();
      await bob.all();
      // Alice answered twice, the second time with an end, which Bob acknowledged.
      await monitor.until(({ message }) => (message as Told | undefined)?.['content'] === 'Goodbye.');
      const seen = monitor.received.flatMap(({ message }) => (message === undefined ? [] : [message as Told]));
      const direct = seen.filter(({ type }) => type === 'DIRECT_MESSAGE');
      assert.deepEqual(
        direct.map(({ from, to }) => `${String(from)} ${String(to)}`),
        ['bob alice', 'alice bob', 'bob alice', 'alice bob', 'bob alice'],
      );
      assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length, 'once each');
      assert.ok(direct.every(({ conversation_id: id }) => id === 'conv-1'));
      assert.equal(seen.filter(({ type }) => type === 'PROCESS_COMPLETE').length, 3);
      assert.equal(seen[0]?.['type'], 'CONVERSATION_INVITE');
      // Its second run went on in the session of the first.
      const sessions = aliceAnswers.flatMap(({ complete }) =>
        complete === undefined ? [] : [(complete as Told)['session_id']],
      );
      assert.equal(sessions.length, 2);
      assert.equal(sessions[0], sessions[1]);
      // At whichever bridge it is asked.
      const away = JSON.stringify({ action: 'disconnect', agent_id: 'monitor' });
      assert.equal((await cluster.ksi(['bridge', 'ask', 'AGENT_CONNECTION', away, '--socket', socket])).code, 0);
      await monitor.all();
    } finally {
      await other.stop();
    }
    const bus = await readFile(join(cluster.dir, 'other', 'claude_logs', 'message_bus.jsonl'), 'utf8');
    assert.match(bus, /"content":"Is it tabs\?"/, 'each bridge logs all messages');
  });

  it('start a conversation of agents whose profiles they write, with compositions of the old daemon', async () => {
    const told = Object.assign(
      {},
      ...(await new LegacyClient(socket, 'orchestrate.py', work, 'debate').all()),
    ) as Record<string, LegacyAnswer>;
    assert.equal(told['spawned']?.status, 'success', JSON.stringify(told['spawned']));
    assert.equal(told['spawned'].result['composition_used'], 'conversation_debate');
    assert.equal(told['spawned'].result['fallback_used'], false);
    const agent = JSON.parse((await cluster.ksi(['agents', 'show', 'debate_2', '-o', 'json'])).stdout) as Told;
    const { append_system_prompt: prompt, model } = agent['options'] as Told;
    assert.equal(model, 'sonnet');
    assert.match(String(prompt), /^debater 2 of "tabs, or spaces\?"\. Commands: none.*\n\nTake a position\.$/);
    assert.equal(told['began']?.status, 'success');
    // KSI's own conversations use the same composition, with these variables.
    const variables = ['--set', 'topic=Tea?', '--set', 'agent_number=2', '--role', 'against'];
    const own = await cluster.ksi(['agents', 'spawn', '--composition', 'conversation_debate', ...variables]);
    assert.equal(own.code, 0, own.stderr);
    const unknown = await askOnce(socket, 'SPAWN_AGENT', {
      profile_name: 'greeter of guests',
      task: 'Greet',
      context: '{"who": "Ada"}',
    });
    assert.equal(unknown.result['composition_used'], 'greeting');
  });

  it("see what is their token's owner's, and nothing else", async () => {
    const made = await cluster.ksi(['tokens', 'create', '--owner', 'ann', '--scope', 'spawn', 'read', 'agents']);
    const dir = join(cluster.dir, 'ann');
    const anns = await BridgeProcess.start({ ...cluster.env, KSI_TOKEN: made.stdout.trim() }, dir);
    try {
      const ask = (...words: string[]): ReturnType<TestCluster['ksi']> =>
        cluster.ksi(['bridge', 'ask', ...words, '--socket', anns.socket, '-o', 'json']);
      assert.deepEqual(JSON.parse((await ask('GET_AGENTS')).stdout), { agents: {} });
      assert.equal((JSON.parse((await ask('GET_SHARED', '{"key": "loaded"}')).stdout) as Told)['value'], null);
      const taken = await ask('AGENT_CONNECTION', '{"action": "connect", "agent_id": "alice"}');
      assert.match(taken.stderr, /AGENT_CONNECTION_FAILED: The agent id alice is taken/);
      const letter = { from_agent: 'ann-1', event_type: 'DIRECT_MESSAGE', payload: { to: 'alice', content: 'x' } };
      assert.match((await ask('PUBLISH', JSON.stringify(letter))).stderr, /PUBLISH_FAILED/);
    } finally {
      await anns.stop();
    }
  });

  it('harm nobody by garbage, half lines, megabytes, a crowd, or by going away', async () => {
    const received = Object.assign({}, ...(await new LegacyClient(socket, 'abuse.py').all())) as Record<
      string,
      unknown
    >;
    const code = (name: string): string | undefined => (received[name] as [LegacyAnswer])[0].error?.code;
    const message = (name: string): string => (received[name] as [LegacyAnswer])[0].error?.message ?? '';
    for (const name of ['garbage', 'utf8', 'array', 'deep', 'half']) assert.equal(code(name), 'INVALID_JSON', name);
    for (const name of ['unknown', 'no_version', 'extra', 'missing', 'mistyped'])
      assert.equal(code(name), 'INVALID_COMMAND', name);
    assert.match(message('no_version'), /version/);
    assert.match(message('extra'), /surprise/);
    assert.match(message('missing'), /parameters\.key/);
    assert.match(message('mistyped'), /parameters\.prompt/);
    assert.equal(code('mode'), 'INVALID_MODE');
    assert.equal(code('action'), 'INVALID_ACTION');
    assert.equal(code('not_connected'), 'SUBSCRIBE_FAILED');
    for (const name of ['no_newline', 'pieces'])
      assert.equal((received[name] as [LegacyAnswer])[0].status, 'success', name);
    // After its one answer the connection is closed.
    for (const name of ['garbage', 'unknown', 'no_newline', 'pieces'])
      assert.equal((received[name] as unknown[])[1], null, name);
    assert.equal(received['big_is_whole'], true);
    assert.equal(received['crowd'], 500);
    assert.equal((received['alive'] as LegacyAnswer).status, 'success');
    assert.equal(received['mode_of_socket'], '0o600');
    assert.equal(received['mine'], true);
  });

  it('are served again soon after one of them has started an old daemon at the socket', async () => {
    const { pids } = JSON.parse(await readFile(join(cluster.dir, 'endpoints.json'), 'utf8')) as { pids: Told };
    const pidFile = join(work, 'sockets', 'claude_daemon.pid');
    assert.equal((await readFile(pidFile, 'utf8')).trim(), String(pids['bridge']));
    const daemon = new LegacyClient('', 'old_daemon.py', socket);
    try {
      await daemon.until((line) => 'listening' in line);
      while ((await askOnce(socket, 'HEALTH_CHECK', {})).result['status'] !== 'healthy') await sleep(50);
    } finally {
      await daemon.stop();
    }
  });

  it('hear of a run that ended while the bridge was dead, and find its new socket', async () => {
    const endpoints = async (): Promise<{ pids: Record<string, number> }> =>
      JSON.parse(await readFile(join(cluster.dir, 'endpoints.json'), 'utf8')) as { pids: Record<string, number> };
    const spawnRequest = { mode: 'async', type: 'claude', prompt: '[[sleep:700]] x', agent_id: 'carol' };
    const spawned = JSON.parse(
      (await cluster.ksi(['bridge', 'ask', 'SPAWN', JSON.stringify(spawnRequest), '--socket', socket])).stdout,
    ) as Told;
    const { pids } = await endpoints();
    assert.ok(pids['bridge'] !== undefined);
    const ghost = await LegacyConnection.open(socket);
    await ghost.ask('AGENT_CONNECTION', { action: 'connect', agent_id: 'ghost' });
    await askOnce(socket, 'SUBSCRIBE', { agent_id: 'ghost', event_types: ['GHOSTLY'] });
    process.kill(pids['bridge'], 'SIGKILL');
    while ([undefined, pids['bridge']].includes((await endpoints()).pids['bridge'])) await sleep(20);
    while (!(await accepts(socket))) await sleep(20);
    const bus = (await askOnce(socket, 'MESSAGE_BUS_STATS', {})).result;
    assert.equal((bus['subscriptions'] as Told)['GHOSTLY'], undefined, 'its connection died with the bridge');
    await askOnce(socket, 'REGISTER_AGENT', { agent_id: 'named', role: 'writer' });
    const listed = (await askOnce(socket, 'GET_AGENTS', {})).result['agents'] as Told;
    assert.ok(!('ghost' in listed) && 'named' in listed, 'only agents that somebody registered');
    const carol = new LegacyClient(socket, 'monitor.py', 'BROADCAST', 'carol');
    const { message } = await carol.until((line) => 'message' in line);
    assert.equal((message as Told)['type'], 'PROCESS_COMPLETE');
    assert.equal((message as Told)['process_id'], spawned['process_id']);
    assert.equal((message as Told)['result'], 'You said: [[sleep:700]] x');
    const output = JSON.parse(await readFile(join(work, 'sockets', 'claude_last_output.json'), 'utf8')) as Told;
    assert.equal(output['result'], 'You said: [[sleep:700]] x');
    await carol.stop();
  });

  it('end the bridge by SHUTDOWN, and nothing else; `ksi up` brings it back; a live socket is left alone', async () => {
    const second = await cluster.ksi(['bridge', '--dir', join(cluster.dir, 'third'), '--socket', socket]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /listens on .* already/);
    const same = await cluster.ksi(['bridge', '--dir', work, '--socket', join(cluster.dir, 'x.sock')]);
    assert.match(same.stderr, /uses this folder/);
    const down = await cluster.ksi(['bridge', 'ask', 'SHUTDOWN', '--socket', socket, '-o', 'json']);
    assert.equal((JSON.parse(down.stdout) as Told)['status'], 'shutting_down');
    while ((await stat(socket).catch(() => undefined)) !== undefined) await sleep(20);
    let processes: { name: string; state: string }[];
    do
      processes = (JSON.parse((await cluster.ksi(['status', '-o', 'json'])).stdout) as { processes: typeof processes })
        .processes;
    while (processes.find(({ name }) => name === 'bridge')?.state !== 'stopped');
    assert.ok(processes.filter(({ name }) => name !== 'bridge').every(({ state }) => state === 'running'));
    assert.equal((await cluster.ksi(['up'])).code, 0);
    assert.equal((await cluster.ksi(['bridge', 'ask', 'HEALTH_CHECK', '--socket', socket])).code, 0);
  });

  it('go on with a live old daemon for the commands that are forwarded to it', async () => {
    const old = join(cluster.dir, 'old.sock');
    const daemon = new LegacyClient('', 'old_daemon.py', old);
    await daemon.until((line) => 'listening' in line);
    const choice = 'GET_AGENTS,GET_IDENTITY,AGENT_CONNECTION,PUBLISH';
    const bridge = await BridgeProcess.start(
      cluster.env,
      join(cluster.dir, 'beside'),
      '--upstream',
      old,
      '--forward',
      choice,
    );
    try {
      const received = Object.assign({}, ...(await new LegacyClient(bridge.socket, 'beside.py').all())) as Record<
        string,
        LegacyAnswer
      >;
      assert.equal(received['forwarded']?.result['served_by'], 'the old daemon');
      assert.ok(Number(received['large']?.result['got']) > 3_000_000);
      assert.equal(received['half_closed']?.result['served_by'], 'the old daemon');
      assert.equal(received['refused']?.error?.code, 'IDENTITY_NOT_FOUND');
      assert.equal(received['here']?.result['status'], 'healthy');
      assert.equal((received['pushed'] as unknown as Told)['content'], 'pushed by the old daemon');
      assert.equal(received['inline']?.result['served_by'], 'the old daemon');
      const stats = JSON.parse(
        (await cluster.ksi(['bridge', 'stats', '--socket', bridge.socket, '-o', 'json'])).stdout,
      ) as Told;
      assert.deepEqual(stats['commands'], {
        GET_AGENTS: { upstream: { served: 3, failed: 0 } },
        GET_IDENTITY: { upstream: { served: 1, failed: 1 } },
        HEALTH_CHECK: { ksi: { served: 1, failed: 0 } },
        AGENT_CONNECTION: { upstream: { served: 1, failed: 0 } },
        PUBLISH: { upstream: { served: 1, failed: 0 } },
      });
      assert.match(bridge.log, /SUBSCRIBE.*MESSAGE_BUS_STATS.*go to different sides/);
      await daemon.stop();
      const away = await cluster.ksi(['bridge', 'ask', 'GET_AGENTS', '--socket', bridge.socket]);
      assert.match(
        away.stderr,
        /GET_AGENTS_FAILED: The bridge forwards GET_AGENTS to the old daemon at .* did not answer/,
      );
    } finally {
      await bridge.stop();
      await daemon.stop();
    }
  });
});

const OLD_DEBATE = `name: conversation_debate
version: "1.0"
description: "Composition for debates"
components:
  - name: "agent_identity"
    source: "components/hi/debater.md"
    vars:
      daemon_commands: "{{daemon_commands}}"
  - name: "conversation_context"
    source: "components/hi/never.md"
    condition: "{{conversation_history}}"
required_context:
  agent_id: "string"
  agent_role: "string"
  topic: "string"
  participant_number: "integer"
  daemon_commands: "object"
  conversation_history: "string"
metadata:
  tags: ["conversation", "debate"]
`;

const GREETING = `name: greeting
version: '2.1'
description: Greets somebody
author: us
components:
  - name: hello
    source: components/hi/hello.md
    vars: { mood: glad }
  - name: never
    source: components/hi/never.md
    condition: "{{who}} == 'Nobody'"
required_context:
  who: whom to greet
metadata:
  category: test
  role: greeter
`;

/** Whether somebody listens there. */
const accepts = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const client = connect(path, () => {
      client.destroy();
      resolve(true);
    });
    client.on('error', () => resolve(false));
  });
