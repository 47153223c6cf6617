import { isDeepStrictEqual } from 'node:util';
import { JetStreamApiError } from '@nats-io/jetstream';
import type { Config } from '../../contracts/config.js';
import { STREAM, SUBJECT } from '../../contracts/names.js';
import { consumerSpecs, streamSpecs } from '../../contracts/topology.js';
import type { Broker } from '../broker/connect.js';
import { lastBySubject, subjectsOf } from '../broker/read.js';
import { asItStands } from '../broker/topology.js';
import { isNewEnough, MIN_VERSION } from '../cluster/nats-server/version.js';
import { findingsOf, type Finding } from './finding.js';
import { monitored, type Monitored } from './monitor.js';

const { ok, warning, failed } = findingsOf('broker');
/** APIs keep the topology (src/broker/topology-keeper.ts). */
const REMAKE = 'An API makes it again within 10 s. If none runs, start the cluster: ksi up';
const MEND = 'An API that starts makes it what it must be: ksi down && ksi up';
const NEARLY_FULL = 0.8;

/** The nats-server, and its streams and consumers against the contract. */
export async function* checkBroker(
  broker: Broker,
  config: Config,
  monitors: readonly string[],
): AsyncGenerator<Finding> {
  const { version = '', server_name: name = '' } = broker.nc.info ?? {};
  yield isNewEnough(version)
    ? ok('version', `nats-server ${version} (${name})`)
    : failed('version', `nats-server ${version}`, `Use ${MIN_VERSION} or later.`);
  for (const monitor of monitors) yield syncOf(await monitored(monitor));
  let whole = true;
  for await (const finding of checkStreams(broker, config)) {
    whole &&= finding.status !== 'failed';
    yield finding;
  }
  yield* checkConsumers(broker, config);
  // What a stream should hold can't be asked of one that isn't there.
  if (whole) yield* checkContents(broker);
}

/** These drop their oldest messages by design. */
const FORGETS: readonly string[] = [STREAM.ended, STREAM.outcomes];

function roomFor(stream: string): string {
  if (stream === STREAM.commands) return 'Start more workers, or raise KSI_QUEUE_MAX or KSI_QUEUE_MAX_BYTES.';
  if (stream === STREAM.events) return 'Raise KSI_EVENTS_MAX_BYTES, or lower KSI_EVENTS_MAX_AGE_S.';
  const raise = `Raise its limit: KSI_STREAM_MAX_BYTES=${stream}=BYTES`;
  return stream === STREAM.audit || stream === STREAM.messages
    ? `${raise}. At the limit its oldest entries are deleted.`
    : `${raise}. At the limit it takes no more.`;
}

function syncOf(server: Monitored | undefined): Finding {
  if (server === undefined)
    return warning('sync', 'the monitoring does not answer', 'Look into its log: ksi logs nats-1');
  const { sync_always: always, sync_interval: interval } = server.jetstream?.config ?? {};
  return always === true
    ? ok('sync', `${server.server_name} syncs before it acknowledges`)
    : warning(
        'sync',
        `${server.server_name} syncs every ${interval === undefined ? 'now and then' : `${interval / 1e9} s`}: a power loss takes what was acknowledged in that time`,
        'If that is not what you chose: KSI_NATS_SYNC=always',
      );
}

async function* checkStreams(broker: Broker, config: Config): AsyncGenerator<Finding> {
  for (const spec of streamSpecs(config)) {
    const info = await orMissing(broker.jsm.streams.info(spec.name));
    if (info === undefined) {
      yield failed(spec.name, 'the stream is not there', REMAKE);
      continue;
    }
    const wrong = differences(asItStands(spec, info.config), info.config);
    if (wrong.length > 0) {
      yield failed(spec.name, `not as the contract says: ${wrong.join(', ')}`, MEND);
      continue;
    }
    const { messages, bytes } = info.state;
    const share = Math.max(shareOf(messages, info.config.max_msgs), shareOf(bytes, info.config.max_bytes));
    const found = `${messages.toLocaleString('en-US')} messages, ${(bytes / 1_048_576).toFixed(1)} MB`;
    yield share < NEARLY_FULL || FORGETS.includes(spec.name)
      ? ok(spec.name, found)
      : warning(spec.name, `${found}: ${Math.round(share * 100)} % of what it may hold`, roomFor(spec.name));
  }
}

async function* checkConsumers(broker: Broker, config: Config): AsyncGenerator<Finding> {
  const wanted = consumerSpecs(config);
  const wrong: string[] = [];
  for (const { stream, consumer } of wanted) {
    const info = await orMissing(broker.jsm.consumers.info(stream, consumer.durable_name));
    if (info === undefined) wrong.push(`${consumer.durable_name} is not there`);
    else {
      const different = differences(consumer, info.config);
      if (different.length > 0) wrong.push(`${consumer.durable_name}: ${different.join(', ')}`);
    }
  }
  yield wrong.length === 0
    ? ok('consumers', `${wanted.length} as the contract says`)
    : failed('consumers', wrong.join('; '), MEND);
}

async function* checkContents(broker: Broker): AsyncGenerator<Finding> {
  const waiting = await subjectsOf(broker, STREAM.commands, SUBJECT.allWaiting);
  const sessions = new Set(waiting.map((subject) => subject.slice(subject.lastIndexOf('.') + 1)));
  const stuck = [];
  for (const session of sessions)
    if ((await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(session))) === undefined) stuck.push(session);
  yield stuck.length === 0
    ? ok('sessions', `${sessions.size} have waiting tasks, each behind a run`)
    : warning(
        'sessions',
        `${stuck.length} have waiting tasks and no run`,
        'APIs mend that every 10 s; if it stays, look into their logs: ksi logs',
      );
  const dead = await subjectsOf(broker, STREAM.dead, SUBJECT.deadAll);
  yield dead.length === 0
    ? ok('dead letters', 'none')
    : warning(
        'dead letters',
        `${dead.length} tasks were given up`,
        'Look at them: ksi dead; put them back: ksi dead retry --all',
      );
}

/** What of `wanted` is otherwise in `actual`, each as `field is …, not …`. Pure. */
export function differences(wanted: object, actual: object): string[] {
  const there = new Map<string, unknown>(Object.entries(actual));
  return Object.entries(wanted)
    .filter(([field, value]) => !isDeepStrictEqual(normal(value), normal(there.get(field))))
    .map(([field, value]) => `${field} is ${JSON.stringify(there.get(field))}, not ${JSON.stringify(value)}`);
}

/** The broker leaves out what is false or empty, and fills in objects. */
function normal(value: unknown): unknown {
  if (value === false || value === '' || value === 0) return undefined;
  if (Array.isArray(value) && value.length === 0) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => normal(field) !== undefined));
}

const shareOf = (used: number, limit: number): number => (limit > 0 ? used / limit : 0);

const NOT_FOUND = 404;

async function orMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.apiError().code === NOT_FOUND) return undefined;
    throw error;
  }
}
