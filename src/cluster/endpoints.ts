import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { NatsUser } from './secrets.js';

/** `<KSI_DIR>/endpoints.json`: every address and credentials file that a cluster uses. Clients and tools read it. */
export interface Endpoints {
  readonly dir: string;
  /** The id of that folder: a copy of the folder has another one, and this file does not count there. */
  readonly folder: string;
  /** The first API's; the others are in `apis`. */
  readonly url: string;
  readonly ws: string;
  readonly apis: readonly { readonly name: string; readonly url: string; readonly ws: string }[];
  readonly token_file: string;
  readonly nats: {
    /** One, or those of a cluster by comma. */
    readonly url: string;
    /** Each nats-server with its HTTP monitoring; empty when the broker isn't ours. */
    readonly servers: readonly { readonly name: string; readonly url: string; readonly monitor: string }[];
    /** NKey seed files and inbox prefixes by user; empty when the broker isn't ours. */
    readonly credentials: Readonly<Partial<Record<NatsUser, string>>>;
    /** File with what the broker's certificate must be signed by, when it speaks TLS. */
    readonly ca?: string;
    readonly inboxes: Readonly<Partial<Record<NatsUser, string>>>;
  };
  /** The Unix socket for clients of the old daemon. */
  readonly bridge?: string;
  /** The stand-in for the Messages API that `make demo` uses in the place of a model. */
  readonly standin?: string;
  readonly logs: string;
  readonly pids: Readonly<Record<string, number>>;
}

/** Replaces a small JSON file as a whole: a reader sees the old or the new one. At once, as a crash may follow. */
export function writeJson(path: string, value: unknown): void {
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, path);
  } catch (error) {
    // Half of a file, on a disk that is full.
    rmSync(draft, { force: true });
    throw error;
  }
}

/** @returns undefined when there is no such file. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The address of an API as clients on this machine reach it. */
export function apiUrls(host: string, port: number, tls: boolean): { url: string; ws: string } {
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[host] ?? (host.includes(':') ? `[${host}]` : host);
  const s = tls ? 's' : '';
  return { url: `http${s}://${reachable}:${port}`, ws: `ws${s}://${reachable}:${port}/events` };
}
