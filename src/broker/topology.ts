import { JetStreamApiError, type StreamConfig } from '@nats-io/jetstream';
import { Objm } from '@nats-io/obj';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config.js';
import { BLOB_BUCKETS, consumerSpecs, streamSpecs, type ConsumerSpec } from '../../contracts/topology.js';
import { sleep } from '../clock.js';
import type { Broker } from './connect.js';
import { asBrokerError } from './read.js';

/** The JetStream API's codes for a stream that is not there, and a consumer that is, with other settings. */
const NOT_FOUND = 10059;
const EXISTS = 10148;

const isCode = (error: unknown, code: number): boolean =>
  error instanceof JetStreamApiError && error.apiError().err_code === code;

const RETRY_MS = 500;

/**
 * Makes the broker's streams, consumers and buckets what the contract says, as soon as its JetStream answers: servers that have
 * just met elect leaders first. Several processes may do it at once. @throws the signal's reason.
 */
export async function makeTopology(
  broker: Broker,
  config: Config,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<void> {
  for (;;) {
    try {
      return await ensureTopology(broker, config, log);
    } catch (error) {
      log.warn({ err: error }, 'the streams cannot be made yet; trying on');
    }
    await sleep(broker.clock, RETRY_MS, signal);
  }
}

/** @throws {BrokerError} */
async function ensureTopology(broker: Broker, config: Config, log: Logger): Promise<void> {
  for (const spec of streamSpecs(config))
    await ensureStream(broker, spec as unknown as Partial<StreamConfig> & { name: string }, log);
  for (const spec of consumerSpecs(config)) await ensureConsumer(broker, spec);
  for (const { name, description } of BLOB_BUCKETS) {
    try {
      await new Objm(broker.js).create(name, { description, replicas: config.KSI_NATS_SERVERS });
    } catch (error) {
      throw asBrokerError(error, `making the bucket ${name}`);
    }
  }
}

async function ensureStream(
  broker: Broker,
  spec: Partial<StreamConfig> & { name: string },
  log: Logger,
): Promise<void> {
  try {
    const { config } = await broker.jsm.streams.info(spec.name);
    // nats-server refuses to change this one.
    const { max_consumers: standing } = config;
    const kept: Partial<StreamConfig> = { ...spec, max_consumers: standing };
    await broker.jsm.streams.update(spec.name, kept);
    if (spec.max_consumers !== undefined && spec.max_consumers !== standing)
      log.warn(
        { stream: spec.name, max_consumers: standing },
        `the stream keeps the max_consumers that it was made with. For ${spec.max_consumers}, run \`make down\`, remove KSI_DIR, then run \`make up\``,
      );
    if (spec.compression === 'none' && (config.compression ?? 'none') !== 'none')
      log.warn(
        { stream: spec.name },
        'the stream is no longer to be compressed, which nats-server heeds when it starts again: run `make down`, then `make up` (docs/adr/0023)',
      );
  } catch (error) {
    if (!isCode(error, NOT_FOUND)) throw asBrokerError(error, `updating the stream ${spec.name}`);
    try {
      await broker.jsm.streams.add(spec);
    } catch (cause) {
      throw asBrokerError(cause, `making the stream ${spec.name}`);
    }
  }
}

async function ensureConsumer(broker: Broker, { stream, consumer }: ConsumerSpec): Promise<void> {
  const { durable_name: name, ...changeable } = consumer;
  try {
    await broker.jsm.consumers.add(stream, consumer);
  } catch (error) {
    // It stands with other settings: bring those up to date.
    if (!isCode(error, EXISTS)) throw asBrokerError(error, `making the consumer ${name}`);
    try {
      await broker.jsm.consumers.update(stream, name, changeable);
    } catch (cause) {
      throw asBrokerError(cause, `updating the consumer ${name}`);
    }
  }
}
