import { request } from 'undici';

/** Of nats-server's `/varz`. */
export interface Monitored {
  readonly server_name: string;
  /** Its clock, ISO 8601. */
  readonly now: string;
  readonly jetstream?: {
    readonly config?: { readonly sync_always?: boolean; readonly sync_interval?: number; readonly store_dir?: string };
  };
}

const ANSWER_WITHIN_MS = 3_000;

/** @returns undefined when it doesn't answer. */
export async function monitored(url: string): Promise<Monitored | undefined> {
  try {
    const answer = await request(`${url}/varz`, { headersTimeout: ANSWER_WITHIN_MS, bodyTimeout: ANSWER_WITHIN_MS });
    return (await answer.body.json()) as Monitored;
  } catch {
    return undefined; // That is what is found.
  }
}
