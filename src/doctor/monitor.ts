import { request } from 'undici';

/** One nats-server, with its HTTP monitoring. */
export interface MonitoredServer {
  readonly name: string;
  readonly url: string;
  readonly monitor: string;
}

/** What a nats-server says of itself. */
export interface Watched extends MonitoredServer {
  /** Undefined: it does not answer. */
  readonly varz: Varz | undefined;
  readonly health: Health | undefined;
  /** Between which it read its clock, by `performance.now()`. */
  readonly asked: number;
  readonly answered: number;
}

/** Of nats-server's `/varz`. */
export interface Varz {
  /** Its clock, ISO 8601. */
  readonly now: string;
  readonly jetstream?: {
    readonly config?: {
      readonly sync_always?: boolean;
      readonly sync_interval?: number;
      readonly max_storage?: number;
    };
    readonly stats?: { readonly storage?: number };
  };
}

/** Of `/healthz?details=true`. */
export interface Health {
  readonly status: string;
  readonly errors?: readonly { readonly stream?: string; readonly consumer?: string; readonly error: string }[];
}

/** A server's own copy of a stream, of `/jsz?accounts=1&streams=1`. */
export interface Copy {
  readonly name: string;
  readonly state: { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
}

interface Jsz {
  readonly account_details?: readonly { readonly stream_detail?: readonly Copy[] }[];
}

const ANSWER_WITHIN_MS = 1_500;

/** Asks all at once. */
export const watch = (servers: readonly MonitoredServer[]): Promise<Watched[]> =>
  Promise.all(
    servers.map(async (server) => {
      const asked = performance.now();
      const health = monitored<Health>(server.monitor, '/healthz?details=true');
      const varz = await monitored<Varz>(server.monitor, '/varz');
      return { ...server, varz, asked, answered: performance.now(), health: await health };
    }),
  );

/** @returns undefined when it does not answer. */
async function monitored<T>(monitor: string, path: string): Promise<T | undefined> {
  try {
    const answer = await request(`${monitor}${path}`, {
      headersTimeout: ANSWER_WITHIN_MS,
      bodyTimeout: ANSWER_WITHIN_MS,
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    return (await answer.body.json()) as T;
  } catch {
    return undefined; // That is what is found.
  }
}

/** The streams of which a server has a copy. */
export async function copiesOf(monitor: string): Promise<ReadonlyMap<string, Copy> | undefined> {
  const jsz = await monitored<Jsz>(monitor, '/jsz?accounts=1&streams=1');
  if (jsz === undefined) return undefined;
  const copies = jsz.account_details?.flatMap(({ stream_detail = [] }) => stream_detail) ?? [];
  return new Map(copies.map((copy) => [copy.name, copy]));
}
