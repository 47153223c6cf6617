import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Server } from 'node:https';
import type { Logger } from 'pino';
import type { Config } from '../../../../contracts/config/config.js';
import { ConfigError } from '../../../config/load.js';

export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

const CHECK_MS = 2_000;

/** The API's certificate and key. Changed files are loaded without a restart. */
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

  /** @returns undefined if no certificate is configured. @throws {ConfigError} */
  static of(
    { KSI_TLS_CERT: cert, KSI_TLS_KEY: key }: Pick<Config, 'KSI_TLS_CERT' | 'KSI_TLS_KEY'>,
    log: Logger,
  ): Tls | undefined {
    if (cert === undefined && key === undefined) return undefined;
    if (cert === undefined || key === undefined)
      throw new ConfigError(['KSI_TLS_CERT and KSI_TLS_KEY: set both or neither']);
    try {
      return new Tls([cert, key], log);
    } catch (error) {
      throw new ConfigError([`KSI_TLS_CERT, KSI_TLS_KEY: ${error instanceof Error ? error.message : String(error)}`]);
    }
  }

  get current(): KeyPair {
    return this.#current;
  }

  /** Gives `server` each new certificate and key, until `stop`. */
  follow(server: Server): void {
    this.#server = server;
    for (const file of this.#files) watchFile(file, { interval: CHECK_MS, persistent: false }, this.#reload);
  }

  stop(): void {
    for (const file of this.#files) unwatchFile(file, this.#reload);
  }

  readonly #reload = (): void => {
    try {
      const pair = read(this.#files);
      // Throws while only one of the two files has been replaced, because they do not match.
      this.#server?.setSecureContext({ cert: pair.cert, key: pair.key });
      this.#current = pair;
      this.#log.info('loaded the new certificate');
    } catch (error) {
      this.#log.error({ err: error }, 'could not load the new certificate; the previous one stays in use');
    }
  };
}

const read = ([cert, key]: readonly [string, string]): KeyPair => ({
  cert: readFileSync(cert),
  key: readFileSync(key),
});
