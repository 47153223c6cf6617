import { JetStreamApiError, type StoredMsg, type StreamInfo } from '@nats-io/jetstream';
import { MsgHdrsImpl } from '@nats-io/transport-node';
import { HEADER } from '../../contracts/wire/names.js';
import { BrokerError, brokerErrorOf } from './errors.js';
import type { Broker } from './connect.js';
import type { ApiAnswer } from './publish.js';

/** A stored message. */
export interface Stored {
  seq: number;
  subject: string;
  data: Uint8Array;
  /** When the broker stored it, in ms since 1970. */
  time(): number;
  header(name: string): string;
}

/** The sequence in KSI_EVENTS of a message that another stream sourced from it: `KSI_EVENTS <sequence> …`. 0: none. */
export const sourceOf = (taken: Pick<Stored, 'header'> | undefined): number =>
  Number(taken?.header(HEADER.source).split(' ')[1] ?? 0);

const NO_MESSAGE = 10037;
const NO_STREAM = 10059;

/** The last message whose subject matches `filter` (wildcards allowed), read from the leader. @throws {BrokerError} */
export const lastBySubject = (broker: Broker, stream: string, filter: string): Promise<Stored | undefined> =>
  get(broker, stream, { last_by_subj: filter });

/** Whether the leader has a message whose subject matches `filter`. Faster than `lastBySubject` if there usually is none. @throws {BrokerError} */
export async function hasAny(broker: Broker, stream: string, filter: string): Promise<boolean> {
  const { error } = await broker.publisher.ask(`STREAM.MSG.GET.${stream}`, { last_by_subj: filter });
  if (error !== undefined && error.err_code !== NO_MESSAGE) throw brokerErrorOf(error, `reading ${stream}`);
  return error === undefined;
}

/** The first message at or after `seq` whose subject matches `filter`, read from the leader. @throws {BrokerError} */
export const nextBySubject = (broker: Broker, stream: string, filter: string, seq = 1): Promise<Stored | undefined> =>
  get(broker, stream, { seq, next_by_subj: filter });

/** The message with this sequence, read from the leader; undefined if it was deleted. @throws {BrokerError} */
export const bySequence = (broker: Broker, stream: string, seq: number): Promise<Stored | undefined> =>
  get(broker, stream, { seq });

/** The subjects that match `filter` and have messages. @throws {BrokerError} */
export async function subjectsOf(broker: Broker, stream: string, filter: string): Promise<string[]> {
  try {
    const info = await broker.jsm.streams.info(stream, { subjects_filter: filter });
    return Object.keys(info.state.subjects ?? {});
  } catch (error) {
    throw asBrokerError(error, `reading the subjects of ${stream}`);
  }
}

/** @returns undefined if the stream does not exist. @throws {BrokerError} */
export async function streamInfo(broker: Broker, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await broker.jsm.streams.info(stream);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.apiError().err_code === NO_STREAM) return undefined;
    throw asBrokerError(error, `reading the state of ${stream}`);
  }
}

/** The state of a stream. Its creation time is its incarnation. @throws {BrokerError} */
export async function streamPosition(
  broker: Broker,
  stream: string,
): Promise<{ created: string; firstSeq: number; lastSeq: number; messages: number }> {
  try {
    const info = await broker.jsm.streams.info(stream);
    return {
      created: info.created,
      firstSeq: info.state.first_seq,
      lastSeq: info.state.last_seq,
      messages: info.state.messages,
    };
  } catch (error) {
    throw asBrokerError(error, `reading the state of ${stream}`);
  }
}

/** Deletes one message. A message that was deleted before is no error. @throws {BrokerError} */
export async function deleteMessage(broker: Broker, stream: string, seq: number): Promise<void> {
  try {
    // Without erasing, which would rewrite the block.
    await broker.jsm.streams.deleteMessage(stream, seq, false);
  } catch (error) {
    // A message that is already deleted has several error codes, one of them generic. So read it to find out.
    if (error instanceof JetStreamApiError && (await bySequence(broker, stream, seq)) === undefined) return;
    throw asBrokerError(error, `deleting message ${seq} of ${stream}`);
  }
}

async function get(
  broker: Broker,
  stream: string,
  query: { last_by_subj: string } | { seq: number; next_by_subj?: string },
): Promise<Stored | undefined> {
  const { error, message } = (await broker.publisher.ask(`STREAM.MSG.GET.${stream}`, query)) as MessageAnswer;
  if (error?.err_code === NO_MESSAGE) return undefined;
  if (error !== undefined) throw brokerErrorOf(error, `reading ${stream}`);
  if (message === undefined)
    throw new BrokerError('refused', `The broker answered without a message while reading ${stream}`);
  const { seq, subject, data = '', hdrs, time } = message;
  const headers = hdrs === undefined ? undefined : MsgHdrsImpl.decode(Buffer.from(hdrs, 'base64'));
  return {
    seq,
    subject,
    data: Buffer.from(data, 'base64'),
    time: () => Date.parse(time),
    header: (name) => headers?.get(name) ?? '',
  };
}

/** The answer to a request for one message. */
interface MessageAnswer extends ApiAnswer {
  readonly message?: {
    readonly seq: number;
    readonly subject: string;
    /** In base64, as `hdrs`. */
    readonly data?: string;
    readonly hdrs?: string;
    readonly time: string;
  };
}

export const asStored = (message: StoredMsg): Stored => ({
  seq: message.seq,
  subject: message.subject,
  data: message.data,
  time: () => message.time.getTime(),
  header: (name) => message.header.get(name),
});

export const asBrokerError = (error: unknown, doing: string): BrokerError => {
  if (error instanceof BrokerError) return error;
  if (error instanceof JetStreamApiError) {
    return brokerErrorOf(error.apiError(), doing, error);
  }
  return new BrokerError('unavailable', `The broker did not answer while ${doing}`, { cause: error });
};
