import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Objm } from '@nats-io/obj';
import { Svcm } from '@nats-io/services';
import { connect, createInbox, PermissionViolationError, type NatsConnection } from '@nats-io/transport-node';
import { BUCKET, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { LOCAL } from '../../src/access/principal.js';
import { TokenRegistry } from '../../src/access/tokens/registry.js';
import { RecordMac } from '../../src/access/tokens/record-mac.js';
import { hashOf } from '../../src/access/tokens/secret.js';
import { Blobs } from '../../src/broker/blobs.js';
import { connectBroker, type Broker } from '../../src/broker/connect.js';
import { Puller, type Delivery } from '../../src/broker/consume.js';
import { newEvent, eventPublication } from '../../src/broker/events.js';
import { park, wakeParked } from '../../src/broker/parked-runs.js';
import { deleteMessage, lastBySubject, subjectsOf } from '../../src/broker/read.js';
import { directRun } from '../../src/broker/session-queue.js';
import { inboxPrefix, type NatsUser } from '../../src/cluster/secrets.js';
import { readConfig } from '../../src/config/load.js';
import { makeStreams, silent } from '../fixtures/connection.js';
import { startKsiBroker, type KsiBroker } from '../fixtures/ksi-broker.js';
import { systemClock } from '../../src/clock.js';

const TASK = '0190c0de-0000-7000-8000-000000000001';
const SESSION = '0190c0de-0000-4000-8000-000000000002';

/** In a cluster the other servers hear of a subscription or a consumer a moment later; until then nobody answers. */
async function known<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Error && /no responders/.test(error.message))) throw error;
    }
  }
}

for (const servers of [1, 3] as const)
  describe(`nats.conf: what the users of a broker of ${servers} may do`, () => {
    let server: KsiBroker;
    let api: Broker;
    let worker: Broker;
    let observer: NatsConnection;
    let operator: NatsConnection;

    const brokerOf = (user: NatsUser): Promise<Broker> =>
      connectBroker({
        url: server.url,
        name: user,
        credentialsFile: server.seed(user),
        inboxPrefix: inboxPrefix(user),
        log: silent,
      });

    before(async () => {
      server = await startKsiBroker(servers, { KSI_NATS_AGENTS: 'alice,bob' });
      api = await brokerOf('api');
      worker = await brokerOf('worker-1');
      observer = await server.connect('observer');
      operator = await server.connect('operator');
      await makeStreams(api, readConfig({ KSI_NATS_SERVERS: String(servers), KSI_NATS_AGENTS: 'alice,bob' }));
      await worker.clock.known();
      await publishEvent(api);
    });
    after(async () => {
      await Promise.all([api.close(), worker.close(), observer.close(), operator.close()]);
      await server.stop();
    });

    const publishEvent = async (broker: Broker): Promise<void> => {
      const event = newEvent(systemClock, 'WORKER_ONLINE', { worker_id: TASK } as never);
      await broker.publisher.publish(eventPublication(event, SUBJECT.workerEvent(TASK, 'online')));
    };

    /** What a publish without an answer is refused with: the server's word comes before the answer to a ping. */
    const refused = async (nc: NatsConnection, act: () => void): Promise<void> => {
      const violation = new Promise<Error>((resolve) => {
        void (async () => {
          for await (const status of nc.status())
            if (status.type === 'error' && status.error instanceof PermissionViolationError)
              return resolve(status.error);
        })();
      });
      act();
      assert.match((await violation).message, /Permissions Violation/i);
    };

    it('keeps seeds and folder to their user', async () => {
      for (const user of ['api', 'worker-1', 'observer', 'operator', 'agent-alice'] as const)
        assert.equal((await stat(server.seed(user))).mode & 0o777, 0o600);
    });

    it('lets nobody in without a key', async () => {
      await assert.rejects(
        connect({ servers: server.url.split(','), reconnect: false, maxReconnectAttempts: 0 }),
        /authorization/i,
      );
    });

    describe('worker', () => {
      it('pulls, renews, gives back, acknowledges and deletes queue entries', async () => {
        await api.publisher.publish({ subject: SUBJECT.run('default', 'normal', SESSION), payload: 'run' });
        let resolve: (delivery: Delivery) => void = () => undefined;
        const delivered = new Promise<Delivery>((settle) => (resolve = settle));
        const puller = new Puller({
          broker: worker,
          stream: STREAM.commands,
          consumer: 'run-default-normal',
          inboxPrefix: inboxPrefix('worker-1'),
          onDelivery: (delivery) => resolve(delivery),
          onEnd: () => undefined,
        });
        puller.park(5_000);
        const delivery = await delivered;
        await delivery.renew();
        await delivery.ack();
        await puller.stop();
        // In a cluster the entry goes a moment after the acknowledgement is confirmed, and nothing tells when.
        while ((await lastBySubject(worker, STREAM.commands, SUBJECT.sessionRuns(SESSION))) !== undefined)
          await sleep(10);
        const { seq } = await api.publisher.publish({
          subject: SUBJECT.waiting('default', TASK, SESSION),
          payload: 'wait',
        });
        await worker.publisher.publish({ subject: SUBJECT.run('default', 'next', SESSION), payload: 'promoted' });
        await deleteMessage(worker, STREAM.commands, seq);
        const run = await lastBySubject(worker, STREAM.commands, SUBJECT.sessionRuns(SESSION));
        if (run !== undefined) await deleteMessage(worker, STREAM.commands, run.seq);
        await worker.jsm.streams.info(STREAM.commands, { subjects_filter: SUBJECT.allWaiting });
      });

      it('parks a run, and schedules when it is to come back', async () => {
        const task = { taskId: TASK, sessionId: SESSION };
        await api.publisher.publish(directRun({ ...task, queue: 'default', payload: '{}', headers: {} }, 'normal'));
        const run = await lastBySubject(worker, STREAM.commands, SUBJECT.sessionRuns(SESSION));
        assert.ok(run);
        const retry = { task_id: TASK, retry_at: new Date(Date.now() + 3_600_000).toISOString() } as never;
        const state = eventPublication(newEvent(systemClock, 'SPAWN_RETRY', retry), SUBJECT.taskState(TASK, 'retry'));
        await worker.publisher.publish(state);
        assert.equal(await park(worker, task, run), true);
        await deleteMessage(worker, STREAM.commands, run.seq);
        assert.equal((await subjectsOf(api, STREAM.schedules, SUBJECT.schedulesAll)).length, 1);
        const ended = eventPublication(newEvent(systemClock, 'SPAWN_ERROR', retry), SUBJECT.taskState(TASK, 'error'));
        await worker.publisher.publish(ended);
        assert.equal((await wakeParked(worker, task)).kind, 'released');
        assert.equal((await subjectsOf(api, STREAM.schedules, SUBJECT.schedulesAll)).length, 0);
      });

      it('publishes events, deltas and transcripts, in batches too, and watches states', async () => {
        const feed = worker.nc.subscribe(SUBJECT.taskStates(TASK));
        await worker.nc.flush();
        const event = newEvent(systemClock, 'SPAWN_START', { task_id: TASK } as never);
        await worker.publisher.publish(eventPublication(event, SUBJECT.taskState(TASK, 'start')));
        for await (const message of feed) {
          assert.equal(message.subject, SUBJECT.taskState(TASK, 'start'));
          break;
        }
        await worker.publisher.publishBatch(
          [1, 2].map((n) => ({ subject: SUBJECT.transcript(SESSION), payload: `entry ${n}` })),
        );
        worker.nc.publish(SUBJECT.live(TASK), '{}');
        await worker.nc.flush();
        const replayed = await worker.js.consumers.get(STREAM.transcripts, {
          filter_subjects: [SUBJECT.transcript(SESSION)],
        });
        const messages = await replayed.fetch({ max_messages: 2, expires: 5_000 });
        let count = 0;
        for await (const message of messages) count += message.subject === SUBJECT.transcript(SESSION) ? 1 : 0;
        assert.equal(count, 2);
        await replayed.delete();
      });

      it('writes, replaces, reads and deletes blobs', async () => {
        const blobs = new Blobs(worker);
        const body = new Uint8Array(300_000).fill(7);
        await blobs.put('large', new Uint8Array(200_000));
        const ref = await blobs.put('large', body);
        assert.deepEqual(await blobs.get(ref), body);
        assert.deepEqual(await new Blobs(api).get(ref), body);
        await blobs.put('gone', body);
        await blobs.delete('gone');
      });

      it('lets nobody in with a token that it forged, wherever it can have one stored', async () => {
        const tokens = new TokenRegistry(api, await RecordMac.of(server.seed('api')), silent);
        await tokens.start();
        const made = await tokens.create({ owner: 'ann', scopes: ['read'] }, LOCAL);
        assert.equal(tokens.find(made.token_id)?.owner, 'ann');
        const id = 'f0f0f0f0f0f0f0f0';
        const { token: _token, ...shown } = made;
        const forged = { ...shown, v: 1, token_id: id, scopes: ['admin'], hash: hashOf('x') };
        const subject = SUBJECT.token(id);
        // The broker's answer goes to whatever reply subject was named.
        const { seq } = await worker.publisher.publish({
          subject: SUBJECT.transcript(SESSION),
          payload: JSON.stringify(forged),
        });
        worker.nc.publish(`$JS.API.STREAM.MSG.GET.${STREAM.transcripts}`, JSON.stringify({ seq }), { reply: subject });
        await worker.nc.flush();
        await tokens.create({ owner: 'bob', scopes: ['read'] }, LOCAL);
        assert.equal(tokens.find(id), undefined);
        // Were it stored word for word: without the MAC, and with that of another record.
        const stored = await lastBySubject(api, `KV_${BUCKET.tokens}`, SUBJECT.token(made.token_id));
        const { mac } = JSON.parse(new TextDecoder().decode(stored?.data)) as { mac: string };
        for (const payload of [forged, { record: forged }, { record: forged, mac }]) {
          await api.publisher.publish({ subject, payload: JSON.stringify(payload) });
          await tokens.create({ owner: 'bob', scopes: ['read'] }, LOCAL);
          assert.equal(tokens.find(id), undefined);
        }
        await tokens.stop();
      });

      it('answers a control request', async () => {
        const subject = SUBJECT.control('worker-1', TASK, 'cancel');
        const served = worker.nc.subscribe(subject, { callback: (_, message) => void message.respond('done') });
        await worker.nc.flush();
        assert.equal((await known(() => api.nc.request(subject, '', { timeout: 5_000 }))).string(), 'done');
        served.unsubscribe();
      });

      it('asks an API for what agents of its tasks do by themselves, as itself', async () => {
        const received: string[] = [];
        const served = api.nc.subscribe(SUBJECT.agentToolsAll, {
          queue: 'agent_tools',
          callback: (_, message) => {
            received.push(message.subject);
            message.respond('done');
          },
        });
        await api.nc.flush();
        const subject = SUBJECT.agentTools('worker-1', TASK);
        assert.equal((await known(() => worker.nc.request(subject, '', { timeout: 5_000 }))).string(), 'done');
        served.unsubscribe();
        assert.deepEqual(received, [subject]);
      });

      for (const subject of [
        SUBJECT.taskState(TASK, 'complete'),
        SUBJECT.run('default', 'high', SESSION),
        SUBJECT.waiting('default', TASK, SESSION),
        SUBJECT.due('x'),
        SUBJECT.control('worker-1', TASK, 'cancel'),
        SUBJECT.apiVerb('spawn'),
        `$JS.API.STREAM.PURGE.${STREAM.schedules}`,
        `$JS.API.STREAM.CREATE.X`,
        `$JS.API.STREAM.PURGE.${STREAM.events}`,
        `$JS.API.STREAM.DELETE.${STREAM.events}`,
        `$JS.API.STREAM.MSG.DELETE.${STREAM.events}`,
        '$KV.ksi_sessions.x',
        '_INBOX_api.x',
        '_INBOX_observer.x',
        '_INBOX_worker-2.x',
        SUBJECT.worker('worker-2', 'w_x'),
        SUBJECT.agentTools('worker-2', TASK),
        'ksi.agent-tools.worker-1',
        // What agents say, and that something was deleted.
        SUBJECT.ingest(SUBJECT.agentMessage('bob', 'NOTE')),
        SUBJECT.ingest(SUBJECT.sessionDeleted(SESSION)),
        SUBJECT.agent('bob'),
        ...[
          BUCKET.tokens,
          BUCKET.tickets,
          BUCKET.idempotency,
          BUCKET.sessions,
          BUCKET.agents,
          BUCKET.inboxes,
          BUCKET.agentPresence,
          BUCKET.conversations,
          BUCKET.conversationLines,
        ].flatMap((bucket) => [
          `$JS.API.STREAM.INFO.KV_${bucket}`,
          `$JS.API.STREAM.MSG.GET.KV_${bucket}`,
          `$JS.API.DIRECT.GET.KV_${bucket}`,
          `$JS.API.DIRECT.GET.KV_${bucket}.$KV.${bucket}.x`,
        ]),
        ...[STREAM.audit, STREAM.dead, STREAM.ended, STREAM.messages].flatMap((stream) => [
          `$JS.API.STREAM.INFO.${stream}`,
          `$JS.API.STREAM.MSG.GET.${stream}`,
          `$JS.API.DIRECT.GET.${stream}`,
        ]),
      ])
        it(`may not publish on ${subject}`, () => refused(worker.nc, () => worker.nc.publish(subject, '{}')));

      for (const subject of [
        'ksi.control.>',
        'ksi.control.worker-2.>',
        SUBJECT.control('worker-2', TASK, '*'),
        SUBJECT.control('*', TASK, '*'),
        'ksi.agents.>',
        'ksi.api.>',
        'ksi.agent-tools.>',
        SUBJECT.agentTools('worker-1', TASK),
        '$KV.ksi_workers.>',
        '_INBOX_worker-2.>',
        '_INBOX_>',
        '_INBOX_api.>',
      ])
        it(`may not subscribe to ${subject}`, () => refused(worker.nc, () => void worker.nc.subscribe(subject)));

      it('tells its presence, below its own name', async () => {
        await worker.publisher.publish({ subject: SUBJECT.worker('worker-1', 'w_x'), payload: '{}' });
      });
    });

    describe('observer', () => {
      it('sees events as they come, with their sequence, and deltas', async () => {
        const events = observer.subscribe('ksi.events.>');
        const live = observer.subscribe('ksi.live.>');
        await observer.flush();
        await publishEvent(worker);
        for await (const message of events) {
          assert.ok(Number(message.headers?.get('Nats-Sequence')) > 0);
          break;
        }
        worker.nc.publish(SUBJECT.live(TASK), 'delta');
        for await (const message of live) {
          assert.equal(message.string(), 'delta');
          break;
        }
      });

      it('replays events by an ordered consumer, a consumer of its own, and direct gets', async () => {
        const jsm = await jetstreamManager(observer);
        const { messages } = (await jsm.streams.info(STREAM.events)).state;
        assert.ok(messages > 0);
        const ordered = await jetstream(observer).consumers.get(STREAM.events);
        assert.equal((await known(() => ordered.next({ expires: 5_000 })))?.seq, 1);
        await ordered.delete();
        await jsm.consumers.add(STREAM.events, {
          name: 'mine',
          ack_policy: 'explicit',
          filter_subject: 'ksi.events.worker.>',
        });
        const own = await jetstream(observer).consumers.get(STREAM.events, 'mine');
        const message = await known(() => own.next({ expires: 5_000 }));
        assert.equal(await message?.ackAck(), true);
        assert.equal(await jsm.consumers.delete(STREAM.events, 'mine'), true);
        assert.equal((await jsm.direct.getMessage(STREAM.events, { seq: 1 }))?.seq, 1);
        assert.equal((await jsm.streams.getMessage(STREAM.events, { seq: 1 }))?.seq, 1);
        const batch = await jsm.direct.getBatch(STREAM.events, { seq: 1, batch: 1, next_by_subj: 'ksi.events.>' });
        for await (const stored of batch) assert.equal(stored.seq, 1);
      });

      it('reads blobs that events refer to, by a push consumer with flow control', async () => {
        const ref = await new Blobs(api).put('event/for-observer', new Uint8Array(5_000_000).fill(1));
        const store = await new Objm(jetstream(observer)).open(BUCKET.blobs, false);
        assert.equal((await store.getBlob(ref.name))?.length, 5_000_000);
      });

      for (const subject of [
        'ksi.events.task.x.output',
        'ksi.ingest.events.task.x.output',
        'ksi.live.task.x',
        'ksi.commands.spawn.default.high.x',
        'ksi.control.worker-1.task.x.cancel',
        'ksi.agent-tools.worker-1.x',
        'ksi.api.spawn',
        'ksi.transcripts.x',
        '$JS.API.STREAM.CREATE.X',
        `$JS.API.STREAM.UPDATE.${STREAM.events}`,
        `$JS.API.STREAM.PURGE.${STREAM.events}`,
        `$JS.API.STREAM.DELETE.${STREAM.events}`,
        `$JS.API.STREAM.MSG.DELETE.${STREAM.events}`,
        `$JS.API.STREAM.MSG.GET.${STREAM.commands}`,
        `$JS.API.DIRECT.GET.${STREAM.transcripts}`,
        `$JS.API.STREAM.INFO.${STREAM.commands}`,
        `$JS.API.CONSUMER.CREATE.${STREAM.commands}.x`,
        `$JS.API.CONSUMER.MSG.NEXT.${STREAM.commands}.run-default-normal`,
        `$JS.ACK.${STREAM.commands}.x`,
        '$O.ksi_blobs.M.x',
        `$JS.API.STREAM.INFO.OBJ_${BUCKET.privateBlobs}`,
        `$JS.API.DIRECT.GET.OBJ_${BUCKET.privateBlobs}.x`,
        `$JS.API.STREAM.MSG.GET.OBJ_${BUCKET.privateBlobs}`,
        '$KV.ksi_sessions.x',
        '$SRV.PING',
      ])
        it(`may not publish on ${subject}`, () => refused(observer, () => observer.publish(subject, '{}')));

      for (const subject of [
        'ksi.commands.>',
        'ksi.control.>',
        'ksi.>',
        '>',
        '_INBOX_api.>',
        '_INBOX_operator.>',
        '$SRV.>',
      ])
        it(`may not subscribe to ${subject}`, () => refused(observer, () => void observer.subscribe(subject)));

      it("can't forge an event or a command through the reply subject of a request", async () => {
        const before = await position(api);
        for (const reply of [
          'ksi.ingest.events.task.x.state.complete',
          'ksi.commands.spawn.default.high.x',
          'ksi.control.worker-1.task.x.cancel',
        ]) {
          const received = api.nc.subscribe(reply);
          observer.publish(`$JS.API.STREAM.INFO.${STREAM.events}`, '', { reply });
          observer.publish(`$JS.API.DIRECT.GET.${STREAM.events}`, '{"seq":1}', { reply });
          observer.publish(`$JS.API.STREAM.MSG.GET.${STREAM.events}`, '{"seq":1}', { reply });
          // Requests of a connection are answered in order.
          await observer.request(`$JS.API.STREAM.INFO.${STREAM.events}`, '', { timeout: 5_000 });
          await observer.request(`$JS.API.DIRECT.GET.${STREAM.events}`, '{"seq":1}', { timeout: 5_000 });
          await api.nc.flush();
          assert.equal(received.getReceived(), 0);
          received.unsubscribe();
        }
        assert.deepEqual(await position(api), before);
      });

      it("can't forge one by a consumer that delivers to a subject of ours", async () => {
        const before = await position(api);
        // nats-server delivers only where a client subscribes to the very subject (tried): not into streams, nor to wildcards.
        const control = worker.nc.subscribe('ksi.control.worker-1.>');
        await worker.nc.flush();
        const targets = [
          'ksi.ingest.events.task.x.state.complete',
          'ksi.commands.spawn.default.high.x',
          'ksi.control.worker-1.task.x.cancel',
          `$JS.API.STREAM.PURGE.${STREAM.commands}`,
        ];
        for (const [index, target] of targets.entries()) {
          const name = `push${index}`;
          const config = { name, deliver_subject: target, ack_policy: 'none', deliver_policy: 'all' };
          const subject = `$JS.API.CONSUMER.CREATE.${STREAM.events}.${name}`;
          await observer.request(subject, JSON.stringify({ stream_name: STREAM.events, config }), { timeout: 5_000 });
          const info = await observer.request(`$JS.API.CONSUMER.INFO.${STREAM.events}.${name}`, '', { timeout: 5_000 });
          assert.ok((info.json<{ delivered?: { consumer_seq: number } }>().delivered?.consumer_seq ?? 0) === 0, target);
        }
        await worker.nc.flush();
        assert.equal(control.getReceived(), 0);
        control.unsubscribe();
        assert.deepEqual(await position(api), before);
      });

      it('is not heard or seen by others through its inbox prefix', () =>
        refused(operator, () => void operator.subscribe(createInbox('_INBOX_observer'))));
    });

    describe('operator', () => {
      it('asks the API, sees who serves it, and what the broker holds', async () => {
        const services = new Svcm(api.nc);
        const service = await services.add({ name: 'ksi', version: '1.0.0' });
        service.addGroup('ksi.api').addEndpoint('spawn', (_, message) => void message.respond('{"ok":true}'));
        await api.nc.flush();
        const answer = await operator.request('ksi.api.spawn', '{}', { timeout: 5_000 });
        assert.equal(answer.string(), '{"ok":true}');
        const ping = await operator.request('$SRV.PING', '', { timeout: 5_000 });
        assert.equal(ping.json<{ name: string }>().name, 'ksi');
        await service.stop();
        const jsm = await jetstreamManager(operator);
        const names: string[] = [];
        for await (const stream of jsm.streams.list()) names.push(stream.config.name);
        assert.ok(names.includes(STREAM.commands) && names.includes(STREAM.events));
        assert.equal((await jsm.streams.info(STREAM.commands)).config.name, STREAM.commands);
        assert.equal((await jsm.consumers.info(STREAM.commands, 'run-default-high')).name, 'run-default-high');
      });

      it('sees and replays events', async () => {
        const ordered = await jetstream(operator).consumers.get(STREAM.events);
        assert.equal((await known(() => ordered.next({ expires: 5_000 })))?.seq, 1);
        await ordered.delete();
      });

      for (const subject of [
        'ksi.ingest.events.task.x.output',
        'ksi.commands.spawn.default.high.x',
        '$JS.API.STREAM.CREATE.X',
        `$JS.API.STREAM.PURGE.${STREAM.events}`,
        `$JS.API.STREAM.DELETE.${STREAM.commands}`,
        `$JS.API.CONSUMER.DELETE.${STREAM.commands}.run-default-high`,
        `$JS.API.STREAM.MSG.GET.${STREAM.transcripts}`,
      ])
        it(`may not publish on ${subject}`, () => refused(operator, () => operator.publish(subject, '{}')));
    });

    describe('agent', () => {
      let alice: NatsConnection;
      let bob: NatsConnection;
      before(async () => {
        alice = await server.connect('agent-alice');
        bob = await server.connect('agent-bob');
      });
      after(() => Promise.all([alice.close(), bob.close()]));

      const send = (to: string, payload: string) =>
        api.publisher.publish({ subject: SUBJECT.ingest(SUBJECT.agentMessage(to, 'NOTE')), payload });

      it('pulls and acknowledges its own messages', async () => {
        await send('alice', 'for alice');
        const inbox = await jetstream(alice).consumers.get(STREAM.messages, 'inbox-alice');
        const message = await known(() => inbox.next({ expires: 5_000 }));
        assert.equal(message?.string(), 'for alice');
        message.working();
        assert.equal(await message.ackAck(), true);
        assert.equal((await inbox.info()).num_ack_pending, 0);
      });

      it('asks the API as itself, and is told', async () => {
        const served = api.nc.subscribe('ksi.agents.*.>', {
          callback: (_, message) => void message.respond(message.subject),
        });
        await api.nc.flush();
        const answer = await known(() => alice.request('ksi.agents.alice.send', '{}', { timeout: 5_000 }));
        assert.equal(answer.string(), 'ksi.agents.alice.send');
        served.unsubscribe();
      });

      it('sees events of its own', async () => {
        const events = alice.subscribe('ksi.events.agent.alice.>', { max: 1 });
        await alice.flush();
        for (const agent of ['bob', 'alice']) {
          const event = newEvent(systemClock, 'WORKER_ONLINE', { worker_id: TASK } as never);
          await api.publisher.publish(eventPublication(event, `ksi.events.agent.${agent}.status`));
        }
        for await (const message of events) assert.equal(message.subject, 'ksi.events.agent.alice.status');
      });

      it("can't forge an event, a command or another agent's word through the reply subject of a request", async () => {
        const listeners = [bob.subscribe('ksi.events.agent.bob.>'), bob.subscribe('_INBOX_agent-bob.>')];
        listeners.push(observer.subscribe('ksi.events.agent.bob.>'), operator.subscribe('_INBOX_operator.x'));
        const forged: string[] = [];
        const others = /^ksi\.(api|agents|control|commands|ingest)\.(?!events\.agent\.alice\.message\.NOTE)|\$KV/;
        const all = api.nc.subscribe('ksi.>', {
          callback: (_, { subject }) => void (others.test(subject) ? forged.push(subject) : undefined),
        });
        await Promise.all([api.nc.flush(), bob.flush(), observer.flush(), operator.flush()]);
        const next = `$JS.API.CONSUMER.MSG.NEXT.${STREAM.messages}.inbox-alice`;
        for (const reply of [
          'ksi.events.agent.bob.message',
          'ksi.ingest.events.agent.bob.message',
          'ksi.api.spawn',
          'ksi.agents.bob.send',
          'ksi.control.worker-1.task.x.cancel',
          '_INBOX_agent-bob.x',
          '_INBOX_operator.x',
        ]) {
          await send('alice', 'forged');
          alice.publish(next, '{"batch":1,"expires":5000000000}', { reply });
          alice.publish(`$JS.API.CONSUMER.INFO.${STREAM.messages}.inbox-alice`, '', { reply });
        }
        // Pulls of a consumer are answered in order: those above have been, or were dropped as nobody listens in this account, when this one is. It is
        // answered with a message, or by its end if one of those above was delivered and is not acknowledged (ADR 41).
        const answers = alice.subscribe('_INBOX_agent-alice.x', { max: 1 });
        await send('alice', 'the last');
        alice.publish(next, '{"batch":1,"expires":5000000000}', { reply: '_INBOX_agent-alice.x' });
        for await (const answer of answers) assert.match(answer.string(), /^$|forged|the last/);
        await Promise.all([api.nc.flush(), bob.flush(), observer.flush(), operator.flush()]);
        assert.deepEqual(forged, []);
        for (const listener of listeners) {
          assert.equal(listener.getReceived(), 0, listener.getSubject());
          listener.unsubscribe();
        }
        all.unsubscribe();
      });

      for (const subject of [
        'ksi.agents.bob.send',
        'ksi.api.spawn',
        'ksi.messages.NOTE.bob',
        'ksi.ingest.events.agent.bob.message.NOTE',
        'ksi.events.agent.alice.x',
        'ksi.ingest.events.agent.alice.x',
        'ksi.control.worker-1.task.x.cancel',
        'ksi.agent-tools.worker-1.x',
        `$JS.API.CONSUMER.MSG.NEXT.${STREAM.messages}.inbox-bob`,
        `$JS.API.CONSUMER.INFO.${STREAM.messages}.inbox-bob`,
        `$JS.API.CONSUMER.CREATE.${STREAM.messages}.x`,
        `$JS.API.CONSUMER.DELETE.${STREAM.messages}.inbox-alice`,
        `$JS.API.STREAM.MSG.GET.${STREAM.messages}`,
        `$JS.API.STREAM.MSG.GET.${STREAM.events}`,
        `$JS.API.DIRECT.GET.${STREAM.messages}`,
        `$JS.API.STREAM.INFO.${STREAM.messages}`,
        `$JS.ACK.${STREAM.messages}.inbox-bob.1.1.1.1.0`,
        `$JS.ACK._.hash.${STREAM.messages}.inbox-bob.1.1.1.1.0`,
        `$JS.ACK.${STREAM.events}.x`,
        '$O.ksi_blobs.M.x',
        '$KV.ksi_workers.worker-1.x',
        '$SRV.PING',
        '_INBOX_agent-bob.x',
      ])
        it(`may not publish on ${subject}`, () => refused(alice, () => alice.publish(subject, '{}')));

      for (const subject of [
        'ksi.events.>',
        'ksi.events.agent.>',
        'ksi.events.agent.bob.>',
        'ksi.live.>',
        'ksi.agents.alice.>',
        'ksi.messages.*.alice',
        'ksi.mail.>',
        'ksi.kv.>',
        'ksi.>',
        '>',
        '_INBOX_agent-bob.>',
        '_INBOX_api.>',
      ])
        it(`may not subscribe to ${subject}`, () => refused(alice, () => void alice.subscribe(subject)));
    });
  });

async function position(broker: Broker): Promise<number[]> {
  const streams = [STREAM.events, STREAM.commands];
  return Promise.all(streams.map(async (name) => (await broker.jsm.streams.info(name)).state.last_seq));
}
