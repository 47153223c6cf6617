import { readFileSync, statSync } from 'node:fs';
import type { Logger } from 'pino';
import { check } from '../../contracts/check.js';
import { ToolPolicy } from '../../contracts/tool-policy.js';
import { ConfigError } from '../config-error.js';
import { domainOf, parseRule } from './rule.js';

/** How long a change of the file may go unseen. */
const LOOK_MS = 1_000;

/** The operator's tool policy, from its file, as it is now. Without a file nothing is limited. */
export class ToolPolicyFile {
  readonly #path: string | undefined;
  readonly #log: Logger;
  #policy: ToolPolicy = {};
  #version = '';
  #lookedAt = -Infinity;

  /** @throws {ConfigError} */
  constructor(path: string | undefined, log: Logger) {
    this.#path = path;
    this.#log = log;
    if (path === undefined) return;
    this.#version = versionOf(path);
    this.#policy = readPolicy(path);
  }

  /** One that can't be read any more leaves the last one in force. */
  get current(): ToolPolicy {
    const now = performance.now();
    if (this.#path === undefined || now - this.#lookedAt < LOOK_MS) return this.#policy;
    this.#lookedAt = now;
    try {
      const version = versionOf(this.#path);
      if (version === this.#version) return this.#policy;
      this.#version = version;
      this.#policy = readPolicy(this.#path);
      this.#log.info({ file: this.#path }, 'the tool policy was read anew');
    } catch (error) {
      this.#log.error({ err: error }, 'the tool policy cannot be read; the one before stays in force');
    }
    return this.#policy;
  }
}

function versionOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs}/${size}/${ino}`;
  } catch (error) {
    throw fault(path, (error as Error).message);
  }
}

function readPolicy(path: string): ToolPolicy {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw fault(path, (error as Error).message);
  }
  const checked = check(ToolPolicy, raw);
  if (!checked.ok) throw fault(path, checked.faults.map(({ field, message }) => `${field}: ${message}`).join('; '));
  for (const { allow = [] } of [checked.value, ...Object.values(checked.value.owners ?? {})])
    for (const text of allow) if (!isJudged(text)) throw fault(path, `allow: ${text}: ${JUDGED}`);
  return checked.value;
}

const JUDGED =
  'of the uses of a tool, only Bash(words:*) and WebFetch(domain:name) can be named here; for others allow the tool and deny uses';

/** Whether we can tell of each use if it is within the rule. */
function isJudged(text: string): boolean {
  const { tool, uses } = parseRule(text);
  if (uses === undefined) return true;
  return tool === 'WebFetch'
    ? domainOf(uses) !== undefined
    : tool === 'Bash' && !uses.replace(/(:| )\*$/, '').includes('*');
}

const fault = (path: string, what: string): ConfigError =>
  new ConfigError([`KSI_TOOL_POLICY=${JSON.stringify(path)}: ${what}`]);
