import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Server } from 'node:https';
import type { Logger } from 'pino';
import type { Config } from '../../../../contracts/config/config.js';
import { ConfigError } from '../../../config/load.js';

export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

const LOOK_MS = 2_000;

/** The certificate and key that the API is served with; new files are taken up without a restart. */
export class Tls {
  readonly #files: readonly [cert: string, key: string];
  readonly #log: Logger;
  #current: KeyPair;
  #server: Server | undefined;

  private constructor(files: readonly [string, string], log: Logger) {
    this.#files = files;
    this.#log = log;
    this.#current = read(files);
  }

  /** @returns undefined: none is configured. @throws {ConfigError} */
  static of(
    { KSI_TLS_CERT: cert, KSI_TLS_KEY: key }: Pick<Config, 'KSI_TLS_CERT' | 'KSI_TLS_KEY'>,
    log: Logger,
  ): Tls | undefined {
    if (cert === undefined && key === undefined) return undefined;
    if (cert === undefined || key === undefined)
      throw new ConfigError(['KSI_TLS_CERT and KSI_TLS_KEY: give both, or neither']);
    try {
      return new Tls([cert, key], log);
    } catch (error) {
      throw new ConfigError([`KSI_TLS_CERT, KSI_TLS_KEY: ${error instanceof Error ? error.message : String(error)}`]);
    }
  }

  get current(): KeyPair {
    return this.#current;
  }

  /** Gives `server` each new pair. */
  follow(server: Server): void {
    this.#server = server;
    for (const file of this.#files) watchFile(file, { interval: LOOK_MS, persistent: false }, this.#reload);
  }

  stop(): void {
    for (const file of this.#files) unwatchFile(file, this.#reload);
  }

  readonly #reload = (): void => {
    try {
      const pair = read(this.#files);
      // While one file is new and the other isn't yet, they don't fit together, and this throws.
      this.#server?.setSecureContext({ cert: pair.cert, key: pair.key });
      this.#current = pair;
      this.#log.info('the new certificate is in use');
    } catch (error) {
      this.#log.error({ err: error }, 'the new certificate cannot be used; the one before still is');
    }
  };
}

const read = ([cert, key]: readonly [string, string]): KeyPair => ({
  cert: readFileSync(cert),
  key: readFileSync(key),
});
