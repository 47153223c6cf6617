import { Config } from '../contracts/config.js';
import { check } from '../contracts/check.js';
import { ConfigError } from './config-error.js';

export { ConfigError };

type Property = { type?: string; default?: unknown };

/** What the environment says, faults and all. */
export interface ExaminedConfig {
  /** Values by name; one that has none is left out. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of those that the environment sets; the others are defaults. */
  readonly set: ReadonlySet<string>;
  /** A line for each, which names its variable. */
  readonly faults: readonly string[];
}

/** Reads the whole configuration from `env`, and says what is wrong with it. An empty variable counts as unset. */
export function examineConfig(env: Readonly<Record<string, string | undefined>>): ExaminedConfig {
  const values: Record<string, unknown> = {};
  const set = new Set<string>();
  for (const [name, property] of Object.entries(Config.properties as Record<string, Property>)) {
    const text = env[name]?.trim();
    if (text === undefined || text === '') {
      if (property.default !== undefined) values[name] = property.default;
    } else {
      values[name] = property.type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text;
      set.add(name);
    }
  }
  const result = check(Config, values);
  const faults = result.ok
    ? []
    : result.faults.map((fault) => `${fault.field}=${JSON.stringify(values[fault.field])}: ${fault.message}`);
  return { values, set, faults };
}

/**
 * Reads the whole configuration from `env`. Variables that KSI doesn't know are left alone.
 * @throws {ConfigError} with all faults at once.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const { values, faults } = examineConfig(env);
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze({ ...(values as Config) });
}

/** The items of a comma-separated variable. */
export const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
