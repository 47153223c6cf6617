import { AGENT_PATTERN } from '../../contracts/agents/agents.js';
import { LegacyError } from './errors.js';

/**
 * In the old protocol an agent's id is any text. In KSI it is a token of a subject. A valid id stays unchanged. Any other id becomes `legacy-`
 * and its base64url, which can be decoded again. At most 42 bytes of UTF-8 fit.
 */
const PREFIX = 'legacy-';
const VALID = new RegExp(AGENT_PATTERN);

/** @param field the field's path, for the error @throws {LegacyError} `INVALID_COMMAND` if the id is too long */
export function ksiAgentId(legacy: string, field: string): string {
  if (VALID.test(legacy) && legacyAgentId(legacy) === legacy) return legacy;
  const id = encode(legacy);
  if (VALID.test(id)) return id;
  throw new LegacyError(
    'INVALID_COMMAND',
    `${field}: the id is too long. Use at most 64 characters of A-Z a-z 0-9 _ -, or at most 42 bytes of other text.`,
  );
}

export function legacyAgentId(id: string): string {
  if (!id.startsWith(PREFIX)) return id;
  const legacy = Buffer.from(id.slice(PREFIX.length), 'base64url').toString('utf8');
  // A client of KSI may have chosen an id with this prefix that does not decode.
  return legacy !== '' && encode(legacy) === id ? legacy : id;
}

const encode = (legacy: string): string => `${PREFIX}${Buffer.from(legacy, 'utf8').toString('base64url')}`;
