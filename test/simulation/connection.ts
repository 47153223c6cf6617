import { JetStreamApiError } from '@nats-io/jetstream';
import { errors, type MsgHdrs } from '@nats-io/transport-node';
import { API_TIMEOUT_MS, type Broker } from '../../src/broker/connect.js';
import { DeferredWrites } from '../../src/broker/deferred-writes.js';
import { Publisher } from '../../src/broker/publish.js';
import { silent } from '../fixtures/connection.js';
import type { Arrived, Link } from './link.js';
import type { SimServer } from './server.js';
import { matches } from './stream.js';

type Payload = Uint8Array | string;
interface Options {
  readonly reply?: string;
  readonly headers?: MsgHdrs;
}

const NO_RESPONDERS = 503;
const MESSAGE_NOT_FOUND = { code: 404, err_code: 10043, description: 'message not found' };
const encode = (payload: Payload): Uint8Array =>
  typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;

/** KSI's Broker over a simulated link: what stands below it is what nats.js gives KSI, of which here is what KSI uses. */
export function simBroker(link: Link, server: SimServer): Broker {
  const { process: clock } = link;
  const nc = new SimConnection(link);
  const publisher = new Publisher(nc as never, clock);
  link.onConnection((connected) => {
    if (!connected) publisher.connectionLost();
  });
  const broker: Omit<Broker, 'nc' | 'js' | 'jsm'> & { nc: SimConnection; jsm: unknown } = {
    nc,
    jsm: { streams: streamsApi(link, server) },
    publisher,
    optional: new DeferredWrites({ clock, connected: () => link.connected, log: silent }),
    clock,
    connected: () => link.connected,
    onConnection: (listener) => link.onConnection(listener),
    close: () => Promise.resolve(),
  };
  return broker as unknown as Broker;
}

class SimConnection {
  readonly info = { max_payload: 1_048_576 };
  readonly #link: Link;
  readonly #inbox: string;
  readonly #requests = new Map<string, (message: Arrived) => void>();
  #next = 0;

  constructor(link: Link) {
    this.#link = link;
    this.#inbox = `_INBOX.of.${link.process.name}`;
    link.subscribe(`${this.#inbox}.*`, (message) => this.#requests.get(message.subject)?.(message));
  }

  subscribe(subject: string, { callback }: { callback: (error: null, message: unknown) => void }): unknown {
    const id = this.#link.subscribe(subject, (arrived) => callback(null, this.#message(arrived)));
    let closed = false;
    const unsubscribe = (): void => {
      closed = true;
      this.#link.unsubscribe(id);
    };
    return {
      unsubscribe,
      isClosed: () => closed,
      drain: () => {
        // What is on its way still comes.
        if (!this.#link.connected) return Promise.resolve(unsubscribe());
        return call(this.#link, API_TIMEOUT_MS, () => undefined).then(unsubscribe, unsubscribe);
      },
    };
  }

  publish(subject: string, payload: Payload, { reply, headers }: Options = {}): void {
    this.#link.publish({ subject, data: encode(payload), header: headers, reply });
  }

  request(subject: string, payload: Payload, { timeout }: { timeout: number }): Promise<unknown> {
    const reply = `${this.#inbox}.${this.#next++}`;
    return new Promise((resolve, reject) => {
      const forget = this.#link.process.after(timeout, () => {
        this.#requests.delete(reply);
        reject(new errors.TimeoutError());
      });
      this.#requests.set(reply, (arrived) => {
        forget();
        this.#requests.delete(reply);
        if (arrived.header?.code === NO_RESPONDERS) reject(new errors.NoRespondersError(subject));
        else resolve(this.#message(arrived));
      });
      this.publish(subject, payload, { reply });
    });
  }

  #message({ subject, data, header, reply }: Arrived): unknown {
    return {
      subject,
      data,
      headers: header,
      reply,
      json: () => JSON.parse(new TextDecoder().decode(data)) as unknown,
      respond: (payload: Payload) => reply !== undefined && this.publish(reply, payload),
    };
  }
}

/** Has the broker do something, and brings the answer. @throws when none comes in time. */
function call<T>(link: Link, timeoutMs: number, ask: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = link.process.after(timeoutMs, () => reject(new errors.TimeoutError()));
    link.send(() => {
      let settle: () => void;
      try {
        const answer = ask();
        settle = () => resolve(answer);
      } catch (error) {
        settle = () => reject(error instanceof Error ? error : new Error(String(error)));
      }
      link.answer(() => {
        forget();
        settle();
      });
    });
  });
}

const streamsApi = (link: Link, server: SimServer): unknown => ({
  deleteMessage: (name: string, seq: number) =>
    call(link, API_TIMEOUT_MS, () => {
      if (!server.stream(name).delete(seq)) throw new JetStreamApiError(MESSAGE_NOT_FOUND);
      return true;
    }),
  info: (name: string, { subjects_filter: filter = '>' }: { subjects_filter?: string } = {}) =>
    call(link, API_TIMEOUT_MS, () => {
      const subjects: Record<string, number> = {};
      for (const { subject } of server.stream(name).messages)
        if (matches(filter, subject)) subjects[subject] = (subjects[subject] ?? 0) + 1;
      return { state: { subjects } };
    }),
});
