import { check } from '../../contracts/wire/check.js';
import { SpawnCommand, SpawnCommandRef } from '../../contracts/tasks/spawn.js';
import { parseJson } from '../json.js';
import type { Blobs } from './blobs.js';
import type { Stored } from './read.js';

/**
 * The command that a message of KSI_COMMANDS carries, wherever its body lies.
 * @returns undefined when it is not one that this build understands.
 * @throws {BrokerError}
 */
export async function commandOf(stored: Pick<Stored, 'data'>, blobs: Blobs): Promise<SpawnCommand | undefined> {
  const body = parseJson(stored.data);
  const reference = hasRef(body) ? check(SpawnCommandRef, body) : undefined;
  const command = check(SpawnCommand, reference?.ok === true ? parseJson(await blobs.get(reference.value.ref)) : body);
  return command.ok ? command.value : undefined;
}

const hasRef = (body: unknown): boolean => typeof body === 'object' && body !== null && 'ref' in body;
