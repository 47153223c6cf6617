import { JetStreamApiError, type StreamConfig, type StreamInfo } from '@nats-io/jetstream';
import type { Logger } from 'pino';
import type { ConsumerSpec, StreamSpec } from '../../contracts/broker/topology.js';
import { API_TIMEOUT_MS, type Broker } from './connect.js';
import { consumerStart, firstSequence, resumeSources } from './recreated-streams.js';
import { brokerErrorOf, type ApiFault } from './errors.js';
import { asBrokerError } from './read.js';

/** JetStream API codes: the name exists, with other settings. */
const STREAM_EXISTS = 10058;
const CONSUMER_EXISTS = 10148;

const isCode = (error: unknown, code: number): boolean =>
  error instanceof JetStreamApiError && error.apiError().err_code === code;

/** The specification for an existing stream, which keeps the start of its sources. */
export function asItStands(spec: StreamSpec, { sources: current = [] }: Pick<StreamConfig, 'sources'>): StreamSpec {
  const sources = spec.sources?.map((source) => {
    const start = current.find(({ name }) => name === source.name)?.opt_start_time;
    return start === undefined ? source : { ...source, opt_start_time: start };
  });
  return sources === undefined ? spec : { ...spec, sources };
}

/** Creates a stream. @param lost whether it replaces a lost one. @throws {BrokerError} */
export async function makeStream(broker: Broker, spec: StreamSpec, lost: boolean): Promise<void> {
  const start = lost ? await firstSequence(broker, spec) : {};
  try {
    await broker.jsm.streams.add({ ...spec, ...start } as Partial<StreamConfig> & { name: string });
  } catch (error) {
    if (!isCode(error, STREAM_EXISTS)) throw asBrokerError(error, `creating the stream ${spec.name}`);
    // Another API created it first, with another start.
    return;
  }
  if (lost) await resumeSources(broker, spec.name);
}

/** Updates a stream to its specification. @throws {BrokerError} */
export async function updateStream(
  broker: Broker,
  spec: StreamSpec,
  { config }: Pick<StreamInfo, 'config'>,
  log: Logger,
): Promise<void> {
  try {
    // nats-server refuses to change `max_consumers`.
    await broker.jsm.streams.update(spec.name, {
      ...asItStands(spec, config),
      max_consumers: config.max_consumers,
    } as Partial<StreamConfig>);
  } catch (error) {
    throw asBrokerError(error, `updating the stream ${spec.name}`);
  }
  if (spec.max_consumers !== undefined && spec.max_consumers !== config.max_consumers)
    log.warn(
      { stream: spec.name, max_consumers: config.max_consumers },
      `nats-server cannot change max_consumers of an existing stream. To get ${spec.max_consumers}, run \`make down\`, delete KSI_DIR, then run \`make up\``,
    );
  if (spec['compression'] === 'none' && (config.compression ?? 'none') !== 'none')
    log.warn(
      { stream: spec.name },
      'compression of the stream is switched off, which takes effect when nats-server restarts. Run `make down`, then `make up` (docs/adr/0023)',
    );
}

/** Creates or updates a consumer. @throws {BrokerError} */
export async function ensureConsumer(broker: Broker, spec: ConsumerSpec): Promise<void> {
  const { stream, consumer } = spec;
  const { durable_name: name, ...changeable } = consumer;
  const start = await consumerStart(broker, spec);
  try {
    await broker.jsm.consumers.add(stream, { ...consumer, ...start });
  } catch (error) {
    if (!isCode(error, CONSUMER_EXISTS)) throw asBrokerError(error, `creating the consumer ${name}`);
    try {
      await broker.jsm.consumers.update(stream, name, changeable);
    } catch (cause) {
      throw asBrokerError(cause, `updating the consumer ${name}`);
    }
  }
}

/** The names of all consumers of a stream. @throws {BrokerError} */
export async function consumerNames(broker: Broker, stream: string): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  try {
    for (let total = 1; names.size < total;) {
      const request = JSON.stringify({ offset: names.size });
      const answer = await broker.nc.request(`$JS.API.CONSUMER.NAMES.${stream}`, request, { timeout: API_TIMEOUT_MS });
      const page = answer.json<NamesPage>();
      if (page.error !== undefined) throw brokerErrorOf(page.error, `listing the consumers of ${stream}`);
      for (const name of page.consumers ?? []) names.add(name);
      if ((page.consumers ?? []).length === 0) break;
      ({ total } = page);
    }
  } catch (error) {
    throw asBrokerError(error, `listing the consumers of ${stream}`);
  }
  return names;
}

interface NamesPage {
  readonly total: number;
  readonly consumers?: readonly string[] | null;
  readonly error?: ApiFault;
}
