import { randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Kvm } from '@nats-io/kv';
import { headers } from '@nats-io/transport-node';
import { BUCKET, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnRequest, SpawnAccepted } from '../../contracts/tasks/spawn.js';
import { SessionNames } from '../../src/sessions/names.js';
import { Acceptor } from '../../src/tasks/accept/acceptor.js';
import { CALL_RECORDS, type CallRecord } from '../../contracts/api/calls.js';
import { OPERATIONS, type OperationName } from '../../contracts/api/operations.js';
import { repeatableOf, type Operation } from '../../contracts/wire/operation.js';
import { pathOf } from '../../contracts/wire/path.js';
import { callKey } from '../../src/tasks/accept/idempotency-keys.js';
import { IDEMPOTENCY_RECORDS } from '../../contracts/tasks/idempotency.js';
import { Records } from '../../src/broker/records.js';
import { IdempotentAcceptor, type AcceptedTask } from '../../src/tasks/accept/spawn-idempotency.js';
import { ApiError } from '../../src/errors/api-error.js';
import type { Budget } from '../../src/access/budgets.js';
import { LOCAL } from '../../src/access/principal.js';
import { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { BrokerError } from '../../src/broker/errors.js';
import { DiskSpace } from '../../src/process/disk-space.js';
import { Workspaces } from '../../src/workspaces/roots.js';
import { ApiLab, type Answer } from '../fixtures/api.js';
import { silent } from '../fixtures/connection.js';
import { FAULTS, faultyBroker, type Fault } from '../fixtures/faulty-broker.js';
import { tasksToRun } from '../fixtures/tasks-to-run.js';

const post = (lab: ApiLab, key: string, body: object): Promise<Answer> =>
  lab.request('/spawn', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });

/** The record of a call that an API carries out until a time. */
const open = ({ answer: _answer, ...record }: CallRecord, until: number): CallRecord => ({ ...record, until });

/** What accepts with keys in an API, without the rest of it. */
function acceptorOn(
  broker: Broker,
  left: Budget['left'] = () => Promise.resolve(undefined),
  disk: Pick<DiskSpace, 'full' | 'suspect'> = { full: () => undefined, suspect: () => undefined },
): { once: IdempotentAcceptor; stop: () => Promise<void> } {
  const acceptor = new Acceptor({
    disk,
    broker,
    blobs: new Blobs(broker),
    hub: { cursor: () => 'c' },
    model: { accept: () => undefined, openOf: () => 0, session: async () => undefined },
    capacity: { reserve: () => true },
    topology: { full: undefined },
    exchanges: { count: () => Promise.resolve() },
    budget: { left },
    records: { ownerOf: () => Promise.resolve(undefined) },
    names: new SessionNames(broker, silent),
    workspaces: new Workspaces(''),
    toolPolicy: { current: {} },
    mcpServers: { current: {} },
    config: {
      KSI_QUEUES: 'default',
      KSI_MAX_PROMPT_CHARS: 1_000,
      KSI_EVENTS_MAX_AGE_S: 604_800,
      KSI_LOG_PROMPTS: 'no',
    },
    log: silent,
  });
  return {
    once: new IdempotentAcceptor(broker, acceptor, new Records(broker, IDEMPOTENCY_RECORDS, silent), silent),
    stop: () => acceptor.stop(),
  };
}

describe('Idempotency-Key', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  it('is answered with its task when the budget has been spent since', async () => {
    let spent = false;
    const { once, stop } = acceptorOn(lab.broker, () =>
      spent ? Promise.reject(new ApiError('budget_exceeded', 'spent')) : Promise.resolve(1),
    );
    try {
      const first = await once.accept({ prompt: 'x' }, LOCAL, 'dear-1');
      spent = true;
      const again = await once.accept({ prompt: 'x' }, LOCAL, 'dear-1');
      assert.deepEqual([again.replayed, again.accepted.task_id], [true, first.accepted.task_id]);
      await assert.rejects(once.accept({ prompt: 'x' }, LOCAL, 'dear-2'), { code: 'budget_exceeded' });
    } finally {
      await stop();
    }
  });

  it('is answered that the disk is full when the broker does not answer and a quota is used up', async () => {
    const silence = (): Promise<never> => Promise.reject(new BrokerError('unavailable', 'no answer'));
    const broker = {
      ...lab.broker,
      publisher: { publish: silence, publishBatch: silence, ask: silence },
    } as unknown as Broker;
    let quota = false;
    const disk = new DiskSpace([lab.dir], () => !quota);
    const { once, stop } = acceptorOn(broker, undefined, disk);
    try {
      await assert.rejects(once.accept({ prompt: 'x' }, LOCAL, 'full-1'), { code: 'broker_unavailable' });
      quota = true;
      await assert.rejects(once.accept({ prompt: 'x' }, LOCAL, 'full-1'), { code: 'disk_full' });
      assert.equal(disk.full(), lab.dir, 'the next request is refused at once');
      quota = false;
      assert.equal(disk.suspect(), undefined);
    } finally {
      await stop();
    }
  });

  it('gives the same answer to the same request, and says so', async () => {
    const body = { prompt: 'once', model: 'm' };
    const first = await post(lab, 'same', body);
    assert.equal(first.status, 202);
    assert.equal(first.headers.get('idempotent-replayed'), null);
    const second = await post(lab, 'same', { model: 'm', prompt: 'once', session_id: null });
    assert.equal(second.status, 202);
    assert.deepEqual(second.body, first.body);
    assert.equal(second.headers.get('idempotent-replayed'), 'true');
    assert.equal(second.headers.get('location'), first.headers.get('location'));
    assert.equal((await tasksToRun(lab.broker, String(first.body['session_id']))).length, 1);
  });

  it('refuses another body with the key, and a key that is none', async () => {
    await post(lab, 'other', { prompt: 'a' });
    const other = await post(lab, 'other', { prompt: 'b' });
    assert.equal(other.status, 422);
    assert.equal(other.body['code'], 'idempotency_mismatch');
    for (const key of ['x'.repeat(256), 'a b', 'é']) {
      const answer = await post(lab, key, { prompt: 'a' });
      assert.equal(answer.status, 400, key);
      assert.equal(answer.body['code'], 'invalid_request');
    }
  });

  it('does not spend a key on a request that is refused', async () => {
    assert.equal((await post(lab, 'refused', { prompt: '' })).status, 400);
    assert.equal((await post(lab, 'refused', { prompt: 'a' })).status, 202);
  });

  it('holds over a restart of the API and of the broker, and after the outcome', async () => {
    const first = await post(lab, 'restart', { prompt: 'a', session_id: 'named' });
    await lab.stopApi();
    const back = new Promise<void>((resolve) => lab.broker.onConnection((connected) => connected && resolve()));
    await lab.server.kill();
    await lab.server.restart();
    await lab.startApi();
    await back;
    assert.deepEqual((await post(lab, 'restart', { prompt: 'a', session_id: 'named' })).body, first.body);
    await lab.finish(first.body as unknown as SpawnAccepted);
    const waited = await lab.request('/spawn?wait=5', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'restart' },
      body: JSON.stringify({ prompt: 'a', session_id: 'named' }),
    });
    assert.equal(waited.status, 200);
    assert.equal(waited.body['task_id'], first.body['task_id']);
    assert.equal(waited.body['status'], 'completed');
  });

  it('makes one task of many requests at once, over HTTP and NATS', async () => {
    const body = { prompt: 'many' };
    const viaNats = async (): Promise<string> => {
      const withKey = headers();
      withKey.set('Idempotency-Key', 'many');
      const reply = await lab.broker.nc.request(SUBJECT.apiVerb('spawn'), JSON.stringify(body), {
        headers: withKey,
        timeout: 5_000,
      });
      return reply.json<SpawnAccepted>().task_id;
    };
    const viaHttp = async (): Promise<string> => String((await post(lab, 'many', body)).body['task_id']);
    const ids = await Promise.all(Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? viaHttp() : viaNats())));
    assert.equal(new Set(ids).size, 1);
    const { session_id: session } = await lab.task(ids[0] ?? '');
    assert.deepEqual(await tasksToRun(lab.broker, session), [ids[0]]);
  });

  it('keeps records that a KV client can read, without the key', async () => {
    const kv = await new Kvm(lab.broker.js).open(BUCKET.idempotency);
    const status = await kv.status();
    assert.equal(status.ttl, 86_400_000);
    assert.ok(status.values > 0);
  });

  // Every step of the first request at the broker, and everything that can happen there. Steps beyond the last: no fault.
  for (const fault of FAULTS)
    for (let at = 1; at <= 8; at++)
      for (const session of [undefined, 'busy'])
        it(`makes one task though the first API ${fault} at step ${at}${session === undefined ? '' : ', of a busy session'}`, () =>
          broken(fault, at, session));

  async function broken(fault: Fault, at: number, session: string | undefined): Promise<void> {
    const key = `${fault}-${at}-${session ?? ''}`;
    const name = session === undefined ? undefined : `${session}-${key}`;
    const steady = acceptorOn(lab.broker);
    const request: SpawnRequest = { prompt: 'x', ...(name === undefined ? {} : { session_id: name }) };
    if (name !== undefined) await steady.once.accept({ ...request, prompt: 'before' }, LOCAL, `${key}-before`);
    const faulty = faultyBroker(lab.broker, at, fault);
    const first = acceptorOn(faulty.broker);
    let answered: AcceptedTask | undefined;
    const accepting = first.once.accept(request, LOCAL, key).then(
      (answer) => (answered = answer),
      () => undefined,
    );
    await Promise.race([accepting, faulty.happened]);
    const answers = await Promise.all([
      steady.once.accept(request, LOCAL, key),
      steady.once.accept(request, LOCAL, key),
    ]);
    const lives = !fault.startsWith('dies');
    if (lives) {
      await accepting;
      await first.stop();
    }
    const last = await steady.once.accept(request, LOCAL, key);
    if (answered !== undefined) answers.push(answered);
    for (const { accepted } of answers) assert.equal(accepted.task_id, last.accepted.task_id);
    const live = await tasksToRun(lab.broker, last.accepted.session_id);
    const others = name === undefined ? 0 : 1;
    assert.equal(live.length, 1 + others, 'one task runs, and the one before it');
    assert.ok(live.includes(last.accepted.task_id), 'the one that everybody was told of');
    await steady.stop();
  }
});

describe('the key of a request that creates something', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
    await call('POST', '/agents/register', { agent_id: 'managed', kind: 'managed', capabilities: ['all'] });
    await call('POST', '/agents/register', { agent_id: 'external', kind: 'external' });
    await call('POST', '/conversations', { conversation_id: TALK, topic: 'any', mode: 'debate' });
  });
  after(() => lab.stop());

  const call = (method: string, path: string, body: object, key?: string): Promise<Answer> =>
    lab.request(path, {
      method,
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) },
      body: JSON.stringify(body),
    });
  const entry = { type: 'user', uuid: '00000000-0000-4000-8000-000000000001' };
  const TALK = randomUUID();
  /** The fields of the path, a request and another one. */
  const CASES: Partial<Record<OperationName, [object, object, object]>> = {
    token_create: [{}, { scopes: ['read'] }, { scopes: ['spawn'] }],
    agent_spawn: [{}, { role: 'scout' }, { role: 'cook' }],
    task_route: [{}, { task: 'one', required_capabilities: ['all'] }, { task: 'two', required_capabilities: ['all'] }],
    send: [{}, { to: 'external', content: 'one' }, { to: 'external', content: 'two' }],
    agent_send: [{ id: 'external' }, { content: 'three' }, { content: 'four' }],
    identity_create: [{}, { agent_id: 'external' }, { agent_id: 'managed' }],
    session_import: [
      {},
      { format: 'ksi-session', v: 1, session_id: 'one', entries: [entry] },
      { format: 'ksi-session', v: 1, session_id: 'two', entries: [entry] },
    ],
    conversation_create: [{}, { topic: 'one', mode: 'debate' }, { topic: 'two', mode: 'debate' }],
    conversation_say: [{ id: TALK }, { text: 'one' }, { text: 'two' }],
    dead_retry_all: [{}, { queue: 'default' }, { queue: 'other' }],
  };

  it('makes one task of two retries', async () => {
    const { body } = await call('POST', '/spawn', { prompt: 'never runs' });
    const path = `/tasks/${String(body['task_id'])}`;
    await call('POST', `${path}/cancel`, {});
    const [first, again] = [
      await call('POST', `${path}/retry`, {}, 'again'),
      await call('POST', `${path}/retry`, {}, 'again'),
    ];
    assert.deepEqual([first.status, again.status], [202, 202]);
    assert.equal(again.body['task_id'], first.body['task_id']);
  });

  it('is not needed where the request names what it creates: another request with the name is refused', async () => {
    const request = { conversation_id: randomUUID(), topic: 'one', mode: 'debate' };
    assert.equal((await call('POST', '/conversations', request)).status, 201);
    assert.equal((await call('POST', '/conversations', request)).status, 201);
    const other = await call('POST', '/conversations', { ...request, topic: 'two' });
    assert.deepEqual([other.status, other.body['code']], [409, 'conflict']);
  });

  it('makes it once, over HTTP and NATS, and is refused for another request', async () => {
    for (const [name, [params, body, other]] of Object.entries(CASES)) {
      const operation: Operation = OPERATIONS[name as OperationName];
      const path = pathOf(operation.path, { ...params });
      const key = `${name}-key`;
      const first = await call(operation.method, path, body, key);
      assert.ok(first.status < 300, `${name}: ${JSON.stringify(first.body)}`);
      assert.equal(first.headers.get('idempotent-replayed'), null, name);
      const again = await call(operation.method, path, body, key);
      assert.deepEqual([again.status, again.body], [first.status, first.body], name);
      assert.deepEqual(again.headers.get('location'), first.headers.get('location'), name);
      assert.equal(again.headers.get('idempotent-replayed'), 'true', name);
      const mismatch = await call(operation.method, path, other, key);
      assert.deepEqual([mismatch.status, mismatch.body['code']], [422, 'idempotency_mismatch'], name);
      const withKey = headers();
      withKey.set('Idempotency-Key', key);
      const request = JSON.stringify({ ...params, ...body });
      const overNats = await lab.broker.nc.request(SUBJECT.apiVerb(name), request, {
        timeout: 5_000,
        headers: withKey,
      });
      assert.deepEqual(overNats.json(), first.body, name);
    }
  });

  it('is free again after a refusal, and held while the first request is carried out', async () => {
    await call('POST', '/identities', { agent_id: 'taken' });
    const wrong = await call('POST', '/identities', { agent_id: 'taken' }, 'free');
    assert.equal(wrong.body['code'], 'identity_exists');
    assert.equal((await call('POST', '/identities', { agent_id: 'another' }, 'free')).status, 201);
    const both = await Promise.all([1, 2].map(() => call('POST', '/tokens', { scopes: ['read'] }, 'both')));
    const made = both.filter(({ status }) => status === 201);
    assert.ok(made.length >= 1 && both.every(({ status }) => status === 201 || status === 409));
    assert.equal(new Set(made.map(({ body }) => body['token'])).size, 1);
  });

  it('leaves no secret in the broker', async () => {
    const { body } = await call('POST', '/tokens', { scopes: ['read'] }, 'secret-key');
    const kv = await new Kvm(lab.broker.nc).open(BUCKET.idempotency);
    for await (const key of await kv.keys()) {
      const text = (await kv.get(key))?.string() ?? '';
      assert.ok(!text.includes(String(body['token'])) && !text.includes('secret-key'), key);
    }
  });

  it('leads to what a request has made that was broken off before its answer was kept', async () => {
    const made = await call('POST', '/conversations', { topic: 'once', mode: 'debate' }, 'broken-off');
    const records = new Records(lab.broker, CALL_RECORDS);
    const key = callKey('local', 'broken-off');
    await records.update(key, ({ record }) => record && open(record, 0));
    const again = await call('POST', '/conversations', { topic: 'once', mode: 'debate' }, 'broken-off');
    assert.equal(again.body['conversation_id'], made.body['conversation_id']);
    await records.update(key, ({ record }) => record && open(record, 1e15));
    const busy = await call('POST', '/conversations', { topic: 'once', mode: 'debate' }, 'broken-off');
    assert.deepEqual([busy.status, busy.body['code']], [409, 'request_in_progress']);
    assert.ok(Number(busy.headers.get('retry-after')) > 0);
  });

  it('is known for each operation that creates something', () => {
    const keyed = Object.entries<Operation>(OPERATIONS)
      .filter(([, operation]) => ['keyed', 'message_id'].includes(String(repeatableOf(operation))))
      .map(([name]) => name);
    // Spawns and retries are tested above. An input needs a task that runs, and is wrapped like the others.
    const elsewhere = ['spawn', 'retry', 'input'];
    assert.deepEqual(keyed.toSorted(), [...Object.keys(CASES), ...elsewhere].toSorted());
    for (const [name, { answers }] of Object.entries<Operation>(OPERATIONS))
      if (answers[201] !== undefined && name !== 'agent_register') assert.ok(keyed.includes(name), name);
  });
});
