import { Config, MAX_QUEUES } from '../../contracts/config/config.js';
import { check } from '../../contracts/wire/check.js';
import { STREAM } from '../../contracts/wire/names.js';
import { MIN_STREAM_BYTES, LIMITED_STREAMS, limitsIn } from '../../contracts/broker/stream-limits.js';
import { ConfigError } from './error.js';

export { ConfigError };

type Property = { type?: string; default?: unknown };

/** The configuration in the environment, with its faults. */
export interface ExaminedConfig {
  /** Values by name. A variable without value and default is absent. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of the variables that the environment sets. The other values are defaults. */
  readonly set: ReadonlySet<string>;
  /** One line for each fault, which names its variable. */
  readonly faults: readonly string[];
}

/** Reads the whole configuration from `env` and lists its faults. An empty variable counts as unset. */
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
  return { values, set, faults: [...faults, ...faultsOfQueues(values), ...faultsOfLimits(values)] };
}

function* faultsOfQueues({ KSI_QUEUES: text }: ExaminedConfig['values']): Generator<string> {
  const queues = listOf(String(text));
  if (queues.length > MAX_QUEUES)
    yield `KSI_QUEUES names ${queues.length} queues, but the broker supports at most ${MAX_QUEUES}`;
  const twice = queues.find((queue, index) => queues.indexOf(queue) !== index);
  if (twice !== undefined) yield `KSI_QUEUES names ${twice} twice: name each queue once`;
}

function* faultsOfLimits({ KSI_STREAM_MAX_BYTES: text }: ExaminedConfig['values']): Generator<string> {
  for (const [stream, bytes] of limitsIn(String(text))) {
    const own = OWN_LIMITS.get(stream);
    if (own !== undefined) yield `KSI_STREAM_MAX_BYTES names ${stream}: set ${own} instead`;
    else if (!LIMITED_STREAMS.includes(stream))
      yield `KSI_STREAM_MAX_BYTES names ${stream}, which does not exist: use ${LIMITED_STREAMS.join(', ')}`;
    else if (bytes < MIN_STREAM_BYTES)
      yield `KSI_STREAM_MAX_BYTES gives ${stream} ${bytes} bytes: the minimum is ${MIN_STREAM_BYTES}`;
  }
}

const OWN_LIMITS = new Map<string, string>([
  [STREAM.commands, 'KSI_QUEUE_MAX_BYTES'],
  [STREAM.events, 'KSI_EVENTS_MAX_BYTES'],
]);

/**
 * Reads the whole configuration from `env`. Ignores unknown variables.
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
