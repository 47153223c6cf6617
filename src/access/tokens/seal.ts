import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseJson } from '../../json.js';

/**
 * Marks records as written by an API. The broker lets nobody else publish where they stand; but whoever may ask its JetStream API
 * has the answers delivered to a subject of his choice, so what a worker can store it could have stored there as well (docs/design/facts.md#reply-subject-unchecked;
 * ADR 15). The key is derived from the NKey seed of the APIs' user at the broker, which all APIs have and nobody else.
 */
export class Seal {
  readonly #key: Uint8Array | undefined;

  /** @param seed undefined: a broker without users, where everybody may write everything. Nothing is sealed then. */
  constructor(seed: string | undefined) {
    this.#key =
      seed === undefined ? undefined : new Uint8Array(hkdfSync('sha256', seed, '', 'ksi records of the API', 32));
  }

  static async of(credentialsFile: string | undefined): Promise<Seal> {
    return new Seal(credentialsFile === undefined ? undefined : (await readFile(credentialsFile, 'utf8')).trim());
  }

  /** @param subject where it will stand: elsewhere it holds for nothing. */
  close(subject: string, record: object): string {
    const seal = this.#sealOf(subject, record);
    return JSON.stringify({ record, ...(seal === undefined ? {} : { seal: seal.toString('base64url') }) });
  }

  /** @returns the record; undefined when no API wrote it there. */
  open(subject: string, data: Uint8Array): unknown {
    const { record, seal } = (parseJson(data) ?? {}) as { record?: unknown; seal?: unknown };
    if (typeof record !== 'object' || record === null) return undefined;
    const expected = this.#sealOf(subject, record);
    if (expected === undefined) return record;
    const given = Buffer.from(typeof seal === 'string' ? seal : '', 'base64url');
    return given.length === expected.length && timingSafeEqual(given, expected) ? record : undefined;
  }

  #sealOf(subject: string, record: object): Buffer | undefined {
    if (this.#key === undefined) return undefined;
    return createHmac('sha256', this.#key)
      .update(`${subject}\n${JSON.stringify(record)}`)
      .digest();
  }
}
