import { check } from '../../contracts/wire/check.js';
import { SpawnCommand, SpawnCommandRef } from '../../contracts/tasks/spawn.js';
import { isRecord, parseJson } from '../json.js';
import type { Blobs } from './blobs.js';
import type { Stored } from './read.js';

/**
 * The command of a queue entry, read from the blob store if the entry has a reference.
 * @returns undefined if this build does not understand it.
 * @throws {BrokerError}
 */
export async function commandOf(stored: Pick<Stored, 'data'>, blobs: Blobs): Promise<SpawnCommand | undefined> {
  const body = parseJson(stored.data);
  const reference = isRecord(body) && 'ref' in body ? check(SpawnCommandRef, body) : undefined;
  const command = check(SpawnCommand, reference?.ok === true ? parseJson(await blobs.get(reference.value.ref)) : body);
  return command.ok ? command.value : undefined;
}
