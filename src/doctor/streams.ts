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
/** APIs keep the topology (src/broker/topology-keeper.ts). */
const REMAKE = 'An API makes it again within 10 s. If none runs, start the cluster: ksi up';
const MEND = 'An API that starts makes it what it must be: ksi down && ksi up';
/** These drop their oldest messages by design. */
const FORGETS: readonly string[] = [STREAM.ended, STREAM.outcomes];
const NO_LEADER = 'Two of three nats-servers must run and be in touch with each other: ksi status; ksi logs nats-1';
const NEARLY_FULL = 0.8;
const LOOK_AGAIN_MS = 1_000;
const NOT_FOUND = 404;

/** The broker did not answer: there is no leader, or the leader stands still. */
const SILENT = Symbol('silent');
type Asked<T> = T | typeof SILENT | undefined;

/** The streams against the contract, with their leaders and copies. */
export async function checkStreams(
  broker: Broker,
  config: Config,
  servers: readonly MonitoredServer[],
): Promise<{ findings: Finding[]; missing: ReadonlySet<string> }> {
  const specs = streamSpecs(config);
  const ask = (): Promise<Asked<StreamInfo>[]> => forEach(specs, (spec) => asked(broker.jsm.streams.info(spec.name)));
  const first = await look(ask, servers.length < 2 ? [] : servers);
  // What is on its way to the copies, or an election, is over by the second look.
  const talking = servers.filter(({ name }) => first.copies.has(name));
  const again = servers.length < 2 && config.KSI_NATS_SERVERS < 2 ? first : await lookLater(ask, talking);
  const missing = new Set<string>();
  const findings = specs.flatMap((spec, index) => {
    const info = again.infos[index];
    if (info === undefined || info === SILENT || isLeaderless(info)) {
      missing.add(spec.name);
      return info === undefined
        ? [failed(spec.name, 'the stream is not there', REMAKE)]
        : [failed(spec.name, 'it has no leader that answers', NO_LEADER)];
    }
    const wrong = differences(asItStands(spec, info.config), info.config);
    return [
      wrong.length > 0
        ? failed(spec.name, `not as the contract says: ${wrong.join(', ')}`, MEND)
        : usageOf(spec.name, info),
      ...behind(info).map((what) => failed(spec.name, what, 'If it stays, look into the log of that server.')),
      ...differentCopies(spec.name, info, first.copies, again.copies),
    ];
  });
  return { findings, missing };
}

/** A single server has no leaders. */
const isLeaderless = ({ cluster }: Pick<StreamInfo, 'cluster'>): boolean =>
  cluster !== undefined && (cluster.leader ?? '') === '';

interface Look {
  readonly infos: readonly Asked<StreamInfo>[];
  readonly copies: Copies;
}

/** By server, then by stream; without the servers that do not answer. */
export type Copies = ReadonlyMap<string, ReadonlyMap<string, Copy>>;

async function lookLater(...asked: Parameters<typeof look>): Promise<Look> {
  await sleep(LOOK_AGAIN_MS);
  return look(...asked);
}

async function look(ask: () => Promise<Asked<StreamInfo>[]>, servers: readonly MonitoredServer[]): Promise<Look> {
  const [infos, copies] = await Promise.all([
    ask(),
    Promise.all(servers.map(async ({ name, monitor }) => [name, await copiesOf(monitor)] as const)),
  ]);
  return { infos, copies: new Map(copies.flatMap(([name, each]) => (each === undefined ? [] : [[name, each]]))) };
}

/** What the leader says of the other copies. Pure. */
export function behind({ cluster }: Pick<StreamInfo, 'cluster'>): string[] {
  return (cluster?.replicas ?? []).flatMap(({ name, current, offline, lag }) => {
    if (!offline && current) return [];
    // The broker leaves out what is false or 0.
    const entries = lag > 0 ? `, ${lag.toLocaleString('en-US')} entries behind` : '';
    return [`its copy on ${name} is ${offline ? 'offline' : 'not current'}${entries}`];
  });
}

/**
 * Copies that are not the same though nothing is written: one of them is damaged. Pure.
 * @param before what was seen a moment before `now`; a stream that changed in between can't be judged.
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
  const led = leader === undefined ? undefined : at(now, leader);
  if (leader === undefined || led === undefined || led !== at(before, leader)) return [];
  return (cluster?.replicas ?? []).flatMap(({ name }) => {
    // Servers that do not answer are named by themselves.
    if (!now.has(name) || !before.has(name)) return [];
    const own = at(now, name);
    if (own === led || own !== at(before, name)) return [];
    const found = `the copy on ${name} differs: ${own ?? 'it is missing'}; the leader ${leader} has ${led}`;
    return [failed(stream, found, `Have ${name} copy it again: ksi logs ${name}; docs/reliability.md`)];
  });
}

function roomFor(stream: string): string {
  if (stream === STREAM.commands) return 'Start more workers, or raise KSI_QUEUE_MAX or KSI_QUEUE_MAX_BYTES.';
  if (stream === STREAM.events) return 'Raise KSI_EVENTS_MAX_BYTES, or lower KSI_EVENTS_MAX_AGE_S.';
  const raise = `Raise its limit: KSI_STREAM_MAX_BYTES=${stream}=BYTES`;
  return stream === STREAM.audit || stream === STREAM.messages
    ? `${raise}. At the limit its oldest entries are deleted.`
    : `${raise}. At the limit it takes no more.`;
}

function usageOf(name: string, { state: { messages, bytes }, config }: StreamInfo): Finding {
  const share = Math.max(shareOf(messages, config.max_msgs), shareOf(bytes, config.max_bytes));
  const found = `${messages.toLocaleString('en-US')} messages, ${(bytes / 1_048_576).toFixed(1)} MB`;
  return share < NEARLY_FULL || FORGETS.includes(name)
    ? ok(name, found)
    : warning(name, `${found}: ${Math.round(share * 100)} % of what it may hold`, roomFor(name));
}

interface ConsumerAsked {
  readonly stream: string;
  /** What is wrong with it. */
  readonly wrong: readonly string[];
}

/** The shared consumers against the contract. Never rejects. */
export const askConsumers = (broker: Broker, config: Config): Promise<ConsumerAsked[]> =>
  forEach(consumerSpecs(config), async ({ stream, consumer }) => {
    const name = consumer.durable_name;
    const info = await asked(broker.jsm.consumers.info(stream, name));
    if (info === undefined) return { stream, wrong: [`${name} is not there`] };
    if (info === SILENT || isLeaderless(info)) return { stream, wrong: [`${name} has no leader`] };
    const different = differences(consumer, info.config);
    return { stream, wrong: different.length === 0 ? [] : [`${name}: ${different.join(', ')}`] };
  });

/** Pure. */
export function consumersFinding(consumers: readonly ConsumerAsked[]): Finding {
  const wrong = consumers.flatMap((each) => each.wrong);
  return wrong.length === 0
    ? ok('consumers', `${consumers.length} as the contract says`)
    : failed('consumers', wrong.join('; '), MEND);
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

/** @returns undefined when there is no such thing. */
async function asked<T>(answer: Promise<T>): Promise<Asked<T>> {
  try {
    return await answer;
  } catch (error) {
    return error instanceof JetStreamApiError && error.apiError().code === NOT_FOUND ? undefined : SILENT;
  }
}
