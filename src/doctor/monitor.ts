import { request } from 'undici';

export interface MonitoredServer {
  readonly name: string;
  readonly url: string;
  /** The URL of its HTTP monitoring. */
  readonly monitor: string;
}

/** A nats-server's answers. Undefined if it does not answer. */
export interface Watched extends MonitoredServer {
  readonly varz: Varz | undefined;
  readonly health: Health | undefined;
  /** When `/varz` was requested and answered, by `performance.now()`. The server read its clock in between. */
  readonly asked: number;
  readonly answered: number;
}

/** From `/varz`. */
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

/** From `/healthz?details=true`. */
export interface Health {
  readonly status: string;
  readonly errors?: readonly { readonly stream?: string; readonly consumer?: string; readonly error: string }[];
}

/** A server's replica of a stream, from `/jsz?accounts=1&streams=1`. */
export interface Copy {
  readonly name: string;
  readonly state: { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
}

interface Jsz {
  readonly account_details?: readonly { readonly stream_detail?: readonly Copy[] }[];
}

const ANSWER_TIMEOUT_MS = 1_500;

/** Queries all servers concurrently. */
export const watch = (servers: readonly MonitoredServer[]): Promise<Watched[]> =>
  Promise.all(
    servers.map(async (server) => {
      const asked = performance.now();
      const health = monitored<Health>(server.monitor, '/healthz?details=true');
      const varz = await monitored<Varz>(server.monitor, '/varz');
      return { ...server, varz, asked, answered: performance.now(), health: await health };
    }),
  );

/** @returns undefined if the server does not answer */
async function monitored<T>(monitor: string, path: string): Promise<T | undefined> {
  try {
    const answer = await request(`${monitor}${path}`, {
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    return (await answer.body.json()) as T;
  } catch {
    return undefined;
  }
}

/** A server's replicas by stream. @returns undefined if the server does not answer */
export async function copiesOf(monitor: string): Promise<ReadonlyMap<string, Copy> | undefined> {
  const jsz = await monitored<Jsz>(monitor, '/jsz?accounts=1&streams=1');
  if (jsz === undefined) return undefined;
  const copies = jsz.account_details?.flatMap(({ stream_detail = [] }) => stream_detail) ?? [];
  return new Map(copies.map((copy) => [copy.name, copy]));
}
