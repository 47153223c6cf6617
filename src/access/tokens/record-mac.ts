import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseJson } from '../../json.js';

/**
 * Signs records so that APIs can tell that an API wrote them. Broker permissions are not enough: any client of the JetStream API chooses
 * the reply subject of its requests, so a worker could have the broker write a stored message to a record's subject
 * (docs/design/facts.md#reply-subject-unchecked; ADR 15). The HMAC key is derived from the NKey seed of the APIs' broker user, which
 * only APIs have.
 */
export class RecordMac {
  readonly #key: Uint8Array | undefined;

  /** @param seed undefined: a broker without users, where everyone may write everything. Records are then not signed. */
  constructor(seed: string | undefined) {
    this.#key =
      seed === undefined ? undefined : new Uint8Array(hkdfSync('sha256', seed, '', 'ksi records of the API', 32));
  }

  static async of(credentialsFile: string | undefined): Promise<RecordMac> {
    return new RecordMac(credentialsFile === undefined ? undefined : (await readFile(credentialsFile, 'utf8')).trim());
  }

  /** @param subject part of the signed data, so a copy on another subject is invalid. */
  sign(subject: string, record: object): string {
    const mac = this.#macOf(subject, record);
    return JSON.stringify({ record, ...(mac === undefined ? {} : { mac: mac.toString('base64url') }) });
  }

  /** @returns the record; undefined if no API wrote it on this subject. */
  verify(subject: string, data: Uint8Array): unknown {
    const { record, mac } = (parseJson(data) ?? {}) as { record?: unknown; mac?: unknown };
    if (typeof record !== 'object' || record === null) return undefined;
    const expected = this.#macOf(subject, record);
    if (expected === undefined) return record;
    const given = Buffer.from(typeof mac === 'string' ? mac : '', 'base64url');
    return given.length === expected.length && timingSafeEqual(given, expected) ? record : undefined;
  }

  #macOf(subject: string, record: object): Buffer | undefined {
    if (this.#key === undefined) return undefined;
    return createHmac('sha256', this.#key)
      .update(`${subject}\n${JSON.stringify(record)}`)
      .digest();
  }
}
