import { AGENT_PATTERN } from '../../contracts/agents/agents.js';
import { LegacyError } from './errors.js';

/**
 * Agents' ids in the old protocol are any text; KSI's are tokens of subjects. Those that are valid in KSI stay as they are; any other is
 * `legacy-` and its base64url, and comes back as it was. At most 42 bytes of UTF-8 fit.
 */
const PREFIX = 'legacy-';
const VALID = new RegExp(AGENT_PATTERN);

/** @throws {LegacyError} `INVALID_COMMAND`: it is too long. @param field where it stood. */
export function ksiAgentId(legacy: string, field: string): string {
  if (VALID.test(legacy) && legacyAgentId(legacy) === legacy) return legacy;
  const id = encode(legacy);
  if (VALID.test(id)) return id;
  throw new LegacyError(
    'INVALID_COMMAND',
    `${field}: an id may have 64 characters of A-Z a-z 0-9 _ -, or 42 bytes of any; this one is longer.`,
  );
}

export function legacyAgentId(id: string): string {
  if (!id.startsWith(PREFIX)) return id;
  const legacy = Buffer.from(id.slice(PREFIX.length), 'base64url').toString('utf8');
  // One that KSI's own clients made up stays as it is.
  return legacy !== '' && encode(legacy) === id ? legacy : id;
}

const encode = (legacy: string): string => `${PREFIX}${Buffer.from(legacy, 'utf8').toString('base64url')}`;
