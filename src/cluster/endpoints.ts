import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseJson } from '../json.js';
import type { NatsUser } from './secrets.js';
import { ifExists } from '../if-exists.js';

/** `<KSI_DIR>/endpoints.json`: the addresses and credentials files of a running cluster, for clients and tools. */
export interface Endpoints {
  readonly dir: string;
  /** The id of `dir`. A copied folder has another id, so clients ignore this file in it. */
  readonly folder: string;
  /** The first API's. `apis` lists all. */
  readonly url: string;
  readonly ws: string;
  readonly apis: readonly { readonly name: string; readonly url: string; readonly ws: string }[];
  readonly token_file: string;
  readonly nats: {
    /** Separated by commas if there are several servers. */
    readonly url: string;
    /** `monitor` is the URL of its HTTP monitoring. Empty with an external broker. */
    readonly servers: readonly { readonly name: string; readonly url: string; readonly monitor: string }[];
    /** NKey seed files by user. Empty with an external broker. */
    readonly credentials: Readonly<Partial<Record<NatsUser, string>>>;
    /** File of the certificate authority that signed the broker's certificate. Absent without TLS. */
    readonly ca?: string;
    /** Inbox prefixes by user. Empty with an external broker. */
    readonly inboxes: Readonly<Partial<Record<NatsUser, string>>>;
  };
  /** The Unix socket for clients of the old daemon. */
  readonly bridge?: string;
  /** The Messages API stand-in of `make demo`. */
  readonly standin?: string;
  readonly logs: string;
  readonly pids: Readonly<Record<string, number>>;
}

/** Replaces a small JSON file atomically. Synchronous, because the process may crash right after. */
export function writeJson(path: string, value: unknown): void {
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, path);
  } catch (error) {
    // A full disk leaves a partial file.
    rmSync(draft, { force: true });
    throw error;
  }
}

/** @returns undefined if the file is missing or damaged. The next start of the cluster writes it again */
export async function readJson(path: string): Promise<unknown> {
  const bytes = await ifExists(readFile(path));
  return bytes === undefined ? undefined : parseJson(bytes);
}

/** The URLs of an API for clients on this machine. */
export function apiUrls(host: string, port: number, tls: boolean): { url: string; ws: string } {
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[host] ?? (host.includes(':') ? `[${host}]` : host);
  const s = tls ? 's' : '';
  return { url: `http${s}://${reachable}:${port}`, ws: `ws${s}://${reachable}:${port}/events` };
}
