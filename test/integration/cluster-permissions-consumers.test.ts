import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import { PermissionViolationError, type NatsConnection } from '@nats-io/transport-node';
import { BUCKET, STREAM } from '../../contracts/wire/names.js';
import { consumerSpecs, READERS_CONSUMERS, streamSpecs } from '../../contracts/broker/topology.js';
import { connectBroker, type Broker } from '../../src/broker/connect.js';
import { inboxPrefix, type NatsUser } from '../../src/cluster/secrets.js';
import { readConfig } from '../../src/config/load.js';
import { makeStreams, silent } from '../fixtures/connection.js';
import { startKsiBroker, type KsiBroker } from '../fixtures/ksi-broker.js';

const CONFIG = readConfig({ KSI_NATS_AGENTS: 'alice' });
const USERS = ['observer', 'operator', 'worker-1', 'agent-alice'] as const;
type User = (typeof USERS)[number];
const READERS: readonly User[] = ['observer', 'operator'];
const MADE_BY_A_READER = 5_000;
const AT_ONCE = 250;

const STREAMS = streamSpecs(CONFIG).map(({ name }) => name);
/** From these, readers make consumers. */
const READABLE: readonly string[] = [STREAM.events, `OBJ_${BUCKET.blobs}`];
/** In these, workers make consumers of their own. */
const WORKERS: readonly string[] = [STREAM.transcripts];

/** One request of the JetStream API, and who may make it. */
interface Verb {
  readonly subject: string;
  readonly allowed: readonly User[];
}

const only = (users: readonly User[], when: boolean): readonly User[] => (when ? users : []);

/** What changes or destroys a stream. */
const streamVerbs = (stream: string): Verb[] => [
  ...['CREATE', 'UPDATE', 'DELETE', 'SNAPSHOT', 'RESTORE', 'LEADER.STEPDOWN', 'PEER.REMOVE'].map((verb) => ({
    subject: `$JS.API.STREAM.${verb}.${stream}`,
    allowed: [],
  })),
  { subject: `$JS.API.STREAM.PURGE.${stream}`, allowed: only(['worker-1'], stream.startsWith('OBJ_')) },
  {
    subject: `$JS.API.STREAM.MSG.DELETE.${stream}`,
    allowed: only(['worker-1'], stream === STREAM.commands || stream === STREAM.schedules),
  },
  ...['', '.x', '.x.some.subject'].map((rest) => ({
    subject: `$JS.API.CONSUMER.CREATE.${stream}${rest}`,
    allowed: [...only(READERS, READABLE.includes(stream)), ...only(['worker-1'], WORKERS.includes(stream))],
  })),
  { subject: `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.x`, allowed: [] },
];

/** What takes from a consumer of KSI's, or destroys it. */
const consumerVerbs = (stream: string, consumer: string): Verb[] => {
  const takers: readonly User[] = [
    ...only(['worker-1'], stream === STREAM.commands),
    ...only(['agent-alice'], consumer === 'inbox-alice'),
  ];
  return [
    { subject: `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, allowed: takers },
    { subject: `$JS.ACK.${stream}.${consumer}.1.1.1.1.0`, allowed: takers },
    { subject: `$JS.ACK._.hash.${stream}.${consumer}.1.1.1.1.0`, allowed: takers },
    ...['DELETE', 'PAUSE', 'RESET', 'UNPIN', 'LEADER.STEPDOWN'].map((verb) => ({
      subject: `$JS.API.CONSUMER.${verb}.${stream}.${consumer}`,
      allowed: [],
    })),
    ...[`CREATE.${stream}.${consumer}`, `DURABLE.CREATE.${stream}.${consumer}`].map((rest) => ({
      subject: `$JS.API.CONSUMER.${rest}`,
      allowed: [],
    })),
  ];
};

describe("nats.conf: every user, stream and consumer of KSI's, and verb of JetStream", () => {
  let server: KsiBroker;
  let api: Broker;
  const connections = new Map<User, NatsConnection>();
  before(async () => {
    server = await startKsiBroker(1, { KSI_NATS_AGENTS: 'alice' });
    api = await connectBroker({
      url: server.url,
      name: 'api',
      credentialsFile: server.seed('api'),
      inboxPrefix: inboxPrefix('api'),
      log: silent,
    });
    for (const user of USERS) connections.set(user, await server.connect(user satisfies NatsUser));
    await makeStreams(api, CONFIG);
  });
  after(async () => {
    await Promise.all([api.close(), ...[...connections.values()].map((nc) => nc.close())]);
    await server.stop();
  });

  const connectionOf = (user: User): NatsConnection => {
    const found = connections.get(user);
    assert.ok(found);
    return found;
  };

  /** The subjects that the broker lets the user publish on. Nothing is harmed: each request is answered with an error, or refused. */
  const permitted = async (user: User, subjects: readonly string[]): Promise<Set<string>> => {
    const nc = connectionOf(user);
    const refused = new Set<string>();
    // Nobody may publish there, and the broker refuses in order.
    const last = '$LAST';
    const watching = (async () => {
      for await (const each of nc.status()) {
        if (each.type !== 'error' || !(each.error instanceof PermissionViolationError)) continue;
        if (each.error.subject === last) return;
        // The account of the readers maps the API before it checks.
        refused.add(each.error.subject.replace(/^ksi\.js\./, '$JS.API.'));
      }
    })();
    for (const subject of [...subjects, last]) nc.publish(subject, '{"not": "a request"');
    await watching;
    return new Set(subjects.filter((subject) => !refused.has(subject)));
  };

  for (const user of USERS)
    it(`${user} may do what it is meant to, and nothing else`, async () => {
      const verbs = [
        ...STREAMS.flatMap(streamVerbs),
        ...consumerSpecs(CONFIG).flatMap(({ stream, consumer }) => consumerVerbs(stream, consumer.durable_name)),
      ];
      const may = await permitted(
        user,
        verbs.map(({ subject }) => subject),
      );
      assert.deepEqual(
        verbs
          .filter(({ subject, allowed }) => may.has(subject) !== allowed.includes(user))
          .map(({ subject }) => subject),
        [],
      );
    });

  it('no consumer of KSI is on a stream of which readers may make consumers', () => {
    assert.deepEqual(
      consumerSpecs(CONFIG).filter(({ stream }) => READABLE.includes(stream)),
      [],
    );
  });

  it('an observer that makes 5,000 consumers does not keep KSI from making its own', async () => {
    const observer = connectionOf('observer');
    const jsm = await jetstreamManager(observer);
    let made = 0;
    for (let first = 0; first < MADE_BY_A_READER; first += AT_ONCE)
      await Promise.all(
        Array.from({ length: AT_ONCE }, async (_, n) => {
          const name = `mine-${first + n}`;
          const config = { name, ack_policy: 'none', inactive_threshold: 60_000_000_000 };
          const answer = await observer.request(
            `$JS.API.CONSUMER.CREATE.${STREAM.events}.${name}`,
            JSON.stringify({ stream_name: STREAM.events, config }),
            { timeout: 30_000 },
          );
          made += answer.json<{ error?: unknown }>().error === undefined ? 1 : 0;
        }),
      );
    assert.equal(made, READERS_CONSUMERS);
    for (const { stream, consumer } of consumerSpecs(CONFIG))
      await api.jsm.consumers.delete(stream, consumer.durable_name);
    await makeStreams(api, CONFIG);
    for (const { stream, consumer } of consumerSpecs(CONFIG))
      assert.equal((await api.jsm.consumers.info(stream, consumer.durable_name)).name, consumer.durable_name);
    for (let n = 0; n < READERS_CONSUMERS; n++)
      await jsm.consumers.delete(STREAM.events, `mine-${n}`).catch(() => false);
  });
});
