import { readFileSync, statSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Static, TSchema } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { ConfigError } from './error.js';

export interface WatchedFileOptions<S extends TSchema> {
  /** The variable that names the file. */
  readonly variable: string;
  /** Undefined if there is no file. */
  readonly path: string | undefined;
  readonly schema: S;
  /** The value without a file. */
  readonly none: Static<S>;
  /** Finds faults that the schema cannot express. */
  readonly faultOf?: (value: Static<S>) => string | undefined;
  readonly log: Logger;
}

/** How long a change of the file may go unnoticed. */
const CHECK_INTERVAL_MS = 1_000;

/** A JSON file of the operator. Changes take effect without a restart. */
export class WatchedFile<S extends TSchema> {
  readonly #options: WatchedFileOptions<S>;
  #value: Static<S>;
  #version = '';
  #lookedAt = -Infinity;

  /** @throws {ConfigError} */
  constructor(options: WatchedFileOptions<S>) {
    this.#options = options;
    const { path, none } = options;
    this.#value = none;
    if (path === undefined) return;
    this.#version = this.#versionOf(path);
    this.#value = this.#read(path);
  }

  /** If the file can no longer be read, the last value stays in force. */
  get current(): Static<S> {
    const { path, log } = this.#options;
    const now = performance.now();
    if (path === undefined || now - this.#lookedAt < CHECK_INTERVAL_MS) return this.#value;
    this.#lookedAt = now;
    try {
      const version = this.#versionOf(path);
      if (version === this.#version) return this.#value;
      this.#value = this.#read(path);
      // Set last: an unreadable file may become readable without a visible change, for example by a change of its mode.
      this.#version = version;
      log.info({ file: path }, 'reloaded a file of the operator');
    } catch (error) {
      log.error({ err: error }, 'could not read a file of the operator; its last content stays in force');
    }
    return this.#value;
  }

  #versionOf(path: string): string {
    try {
      const { mtimeMs, size, ino } = statSync(path);
      return `${mtimeMs}/${size}/${ino}`;
    } catch (error) {
      throw this.#fault((error as Error).message);
    }
  }

  #read(path: string): Static<S> {
    let raw: unknown;
    try {
      raw = JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw this.#fault((error as Error).message);
    }
    const checked = check(this.#options.schema, raw);
    if (!checked.ok) throw this.#fault(checked.faults.map(({ field, message }) => `${field}: ${message}`).join('; '));
    const why = this.#options.faultOf?.(checked.value);
    if (why !== undefined) throw this.#fault(why);
    return checked.value;
  }

  #fault(what: string): ConfigError {
    const { variable, path } = this.#options;
    return new ConfigError([`${variable}=${JSON.stringify(path)}: ${what}`]);
  }
}
