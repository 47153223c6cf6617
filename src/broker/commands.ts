import { check } from '../../contracts/check.js';
import { SpawnCommand, SpawnCommandRef } from '../../contracts/spawn.js';
import type { Blobs } from './blobs.js';
import type { Stored } from './read.js';

/** The command that a message of KSI_COMMANDS carries, wherever its body lies. Undefined: not one that this build understands. @throws {BrokerError} */
export async function commandOf(stored: Stored, blobs: Blobs): Promise<SpawnCommand | undefined> {
  const body = parse(stored.data);
  const reference = check(SpawnCommandRef, body);
  const command = check(SpawnCommand, reference.ok ? parse(await blobs.get(reference.value.ref)) : body);
  return command.ok ? command.value : undefined;
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined; // The check refuses it.
  }
}
