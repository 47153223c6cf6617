import { isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiError, type StreamInfo } from '@nats-io/jetstream';
import type { Config } from '../../contracts/config/config.js';
import { STREAM } from '../../contracts/wire/names.js';
import { consumerSpecs, streamSpecs } from '../../contracts/broker/topology.js';
import type { Broker } from '../broker/connect.js';
import { asItStands } from '../broker/topology.js';
import { findingsOf, type Finding } from './finding.js';
import { copiesOf, type Copy, type MonitoredServer } from './monitor.js';
import { forEach } from './sections.js';

const { ok, warning, failed } = findingsOf('broker');
/** APIs maintain the topology (src/broker/topology-manager.ts). */
const RECREATE = 'An API creates it again within 10 s. If none runs, start the cluster: ksi up';
const RESTART = 'Restart the cluster: ksi down && ksi up. An API that starts corrects the configuration.';
/** Streams that delete their oldest messages by design. */
const BOUNDED: readonly string[] = [STREAM.ended, STREAM.outcomes];
const NO_LEADER = 'Make sure that two of the three nats-servers run and are connected: ksi status; ksi logs nats-1';
const NEARLY_FULL = 0.8;
const SECOND_SAMPLE_MS = 1_000;
const NOT_FOUND = 404;

/** The broker did not answer: the stream has no leader, or the leader is suspended. */
const SILENT = Symbol('silent');
type StreamAnswer<T> = T | typeof SILENT | undefined;

/** Compares the streams with the contract, and checks their leaders and replicas. @returns also the names of missing or leaderless streams */
export async function checkStreams(
  broker: Broker,
  config: Config,
  servers: readonly MonitoredServer[],
): Promise<{ findings: Finding[]; missing: ReadonlySet<string> }> {
  const specs = streamSpecs(config);
  const ask = (): Promise<StreamAnswer<StreamInfo>[]> =>
    forEach(specs, (spec) => asked(broker.jsm.streams.info(spec.name)));
  const first = await sample(ask, servers.length < 2 ? [] : servers);
  let second = first;
  if (servers.length >= 2 || config.KSI_NATS_SERVERS >= 2) {
    // By the second sample, replicas have received pending writes and elections have ended.
    await sleep(SECOND_SAMPLE_MS);
    second = await sample(
      ask,
      servers.filter(({ name }) => first.copies.has(name)),
    );
  }
  const missing = new Set<string>();
  const findings = specs.flatMap((spec, index) => {
    const info = second.infos[index];
    if (info === undefined || info === SILENT || isLeaderless(info)) {
      missing.add(spec.name);
      return info === undefined
        ? [failed(spec.name, 'the stream is missing', RECREATE)]
        : [failed(spec.name, 'it has no leader that answers', NO_LEADER)];
    }
    const wrong = differences(asItStands(spec, info.config), info.config);
    return [
      wrong.length > 0
        ? failed(spec.name, `its configuration differs from the contract: ${wrong.join(', ')}`, RESTART)
        : usageOf(spec.name, info),
      ...behind(info).map((what) => failed(spec.name, what, "If this persists, see that server's log.")),
      ...differentCopies(spec.name, info, first.copies, second.copies),
    ];
  });
  return { findings, missing };
}

/** A single server has no leaders. */
const isLeaderless = ({ cluster }: Pick<StreamInfo, 'cluster'>): boolean =>
  cluster !== undefined && (cluster.leader ?? '') === '';

interface Sample {
  readonly infos: readonly StreamAnswer<StreamInfo>[];
  readonly copies: Copies;
}

/** Replicas by server and stream, without the servers that do not answer. */
export type Copies = ReadonlyMap<string, ReadonlyMap<string, Copy>>;

async function sample(
  ask: () => Promise<StreamAnswer<StreamInfo>[]>,
  servers: readonly MonitoredServer[],
): Promise<Sample> {
  const [infos, copies] = await Promise.all([
    ask(),
    Promise.all(servers.map(async ({ name, monitor }) => [name, await copiesOf(monitor)] as const)),
  ]);
  return { infos, copies: new Map(copies.flatMap(([name, each]) => (each === undefined ? [] : [[name, each]]))) };
}

/** The leader's reports of replicas that are offline or not current. */
export function behind({ cluster }: Pick<StreamInfo, 'cluster'>): string[] {
  return (cluster?.replicas ?? []).flatMap(({ name, current, offline, lag }) => {
    if (!offline && current) return [];
    // The broker omits a lag of 0.
    const entries = lag > 0 ? `, ${lag.toLocaleString('en-US')} entries behind` : '';
    return [`its replica on ${name} is ${offline ? 'offline' : 'not current'}${entries}`];
  });
}

/**
 * Finds replicas that differ from the leader's while nothing is written. One of the two is damaged.
 * @param before an earlier sample. A stream that has changed since is not judged
 */
export function differentCopies(
  stream: string,
  { cluster }: Pick<StreamInfo, 'cluster'>,
  before: Copies,
  now: Copies,
): Finding[] {
  const leader = cluster?.leader;
  const at = (copies: Copies, server: string): string | undefined => {
    const state = copies.get(server)?.get(stream)?.state;
    return state && `messages ${state.first_seq} to ${state.last_seq}, ${state.messages} in all`;
  };
  const leaders = leader === undefined ? undefined : at(now, leader);
  if (leader === undefined || leaders === undefined || leaders !== at(before, leader)) return [];
  return (cluster?.replicas ?? []).flatMap(({ name }) => {
    // Another finding reports a server that does not answer.
    if (!now.has(name) || !before.has(name)) return [];
    const own = at(now, name);
    if (own === leaders || own !== at(before, name)) return [];
    const found = `the replica on ${name} differs: ${own ?? 'it is missing'}; the leader ${leader} has ${leaders}`;
    return [
      failed(stream, found, `Make ${name} copy it again (docs/reliability.md), and see its log: ksi logs ${name}`),
    ];
  });
}

function roomFor(stream: string): string {
  if (stream === STREAM.commands) return 'Start more workers, or raise KSI_QUEUE_MAX or KSI_QUEUE_MAX_BYTES.';
  if (stream === STREAM.events) return 'Raise KSI_EVENTS_MAX_BYTES, or lower KSI_EVENTS_MAX_AGE_S.';
  const raise = `Raise its limit: KSI_STREAM_MAX_BYTES=${stream}=BYTES`;
  return stream === STREAM.audit || stream === STREAM.messages
    ? `${raise}. At the limit its oldest entries are deleted.`
    : `${raise}. At the limit it refuses new messages.`;
}

function usageOf(name: string, { state: { messages, bytes }, config }: StreamInfo): Finding {
  const share = Math.max(shareOf(messages, config.max_msgs), shareOf(bytes, config.max_bytes));
  const found = `${messages.toLocaleString('en-US')} messages, ${(bytes / 1_048_576).toFixed(1)} MB`;
  return share < NEARLY_FULL || BOUNDED.includes(name)
    ? ok(name, found)
    : warning(name, `${found}: ${Math.round(share * 100)} % of its limit`, roomFor(name));
}

interface ConsumerCheck {
  readonly stream: string;
  /** The consumer's faults. */
  readonly wrong: readonly string[];
}

/** Compares the shared consumers with the contract. Never rejects. */
export const askConsumers = (broker: Broker, config: Config): Promise<ConsumerCheck[]> =>
  forEach(consumerSpecs(config), async ({ stream, consumer }) => {
    const name = consumer.durable_name;
    const info = await asked(broker.jsm.consumers.info(stream, name));
    if (info === undefined) return { stream, wrong: [`${name} is missing`] };
    if (info === SILENT || isLeaderless(info)) return { stream, wrong: [`${name} has no leader`] };
    const different = differences(consumer, info.config);
    return { stream, wrong: different.length === 0 ? [] : [`${name}: ${different.join(', ')}`] };
  });

export function consumersFinding(consumers: readonly ConsumerCheck[]): Finding {
  const wrong = consumers.flatMap((each) => each.wrong);
  return wrong.length === 0
    ? ok('consumers', `all ${consumers.length} match the contract`)
    : failed('consumers', wrong.join('; '), RESTART);
}

/** The fields of `wanted` that differ in `actual`, each as `field is …, not …`. */
export function differences(wanted: object, actual: object): string[] {
  const found = new Map<string, unknown>(Object.entries(actual));
  return Object.entries(wanted)
    .filter(([field, value]) => !isDeepStrictEqual(normal(value), normal(found.get(field))))
    .map(([field, value]) => `${field} is ${JSON.stringify(found.get(field))}, not ${JSON.stringify(value)}`);
}

/** Removes false and empty values: the broker omits some and adds others. */
function normal(value: unknown): unknown {
  if (value === false || value === '' || value === 0) return undefined;
  if (Array.isArray(value) && value.length === 0) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => normal(field) !== undefined));
}

const shareOf = (used: number, limit: number): number => (limit > 0 ? used / limit : 0);

/** @returns undefined if the broker has no such stream or consumer */
async function asked<T>(answer: Promise<T>): Promise<StreamAnswer<T>> {
  try {
    return await answer;
  } catch (error) {
    return error instanceof JetStreamApiError && error.apiError().code === NOT_FOUND ? undefined : SILENT;
  }
}
