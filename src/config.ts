import { Config } from '../contracts/config.js';
import { check } from '../contracts/check.js';
import { ConfigError } from './config-error.js';

export { ConfigError };

type Property = { type?: string; default?: unknown };

/**
 * Reads the whole configuration from `env`. An empty variable counts as unset; variables that KSI doesn't know are left alone.
 * @throws {ConfigError} with all faults at once.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const raw: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(Config.properties as Record<string, Property>)) {
    const text = env[name]?.trim();
    if (text === undefined || text === '') {
      if (property.default !== undefined) raw[name] = property.default;
    } else {
      raw[name] = property.type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text;
    }
  }
  const result = check(Config, raw);
  if (!result.ok) {
    throw new ConfigError(
      result.faults.map((fault) => `${fault.field}=${JSON.stringify(raw[fault.field])}: ${fault.message}`),
    );
  }
  return Object.freeze(result.value);
}

/** The items of a comma-separated variable. */
export const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
