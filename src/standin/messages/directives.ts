import { isRecord, parseText } from '../../json.js';

/** An HTTP error to answer with. `times` is Infinity by default. */
export interface StatusDirective {
  readonly code: number;
  readonly times: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ToolCall {
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/**
 * Instructions to the stand-in, as `[[name]]` or `[[name:value]]` anywhere in the last user prompt. A misspelt directive or one with an invalid
 * value stays in the text, so that the answer shows it.
 */
export interface Directives {
  /** `[[status:429 retry-after=1 times=2]]`: answer with this error, `times` times. Other `key=value` pairs become headers. */
  readonly status?: StatusDirective;
  /** `[[delay:500]]`: wait this many ms before the answer. */
  readonly delayMs?: number;
  /** `[[say:TEXT]]`: answer with this text. */
  readonly say?: string;
  /** `[[chars:100000]]`: answer with this many characters. */
  readonly chars?: number;
  /** `[[hang]]`: do not answer until `release`. `[[hang:mid]]`: stop in the middle of the stream until `release`. */
  readonly hang?: 'before' | 'mid';
  /** `[[die]]`: close the connection in the middle of the stream. */
  readonly die?: true;
  /** `[[tool:Bash {"command":"echo hi"}]]`: call tools, one for each request, before the final text. */
  readonly tools: readonly ToolCall[];
}

export interface ParsedPrompt {
  readonly directives: Directives;
  /** The prompt without its directives. */
  readonly text: string;
}

type Change = Partial<Directives> | undefined;

const PARSERS: Readonly<Record<string, (value: string, sofar: Directives) => Change>> = {
  status: (value) => {
    const [code, ...pairs] = value.split(/\s+/);
    const { times, ...headers } = Object.fromEntries(pairs.map((pair) => pair.split('=', 2) as [string, string]));
    const number = count(code ?? '');
    if (!pairs.every((pair) => /^[\w-]+=./.test(pair))) return undefined;
    if (number === undefined || number < 400 || number > 599) return undefined;
    return { status: { code: number, times: times === undefined ? Infinity : (count(times) ?? Infinity), headers } };
  },
  delay: (value) => optional('delayMs', count(value)),
  say: (value) => ({ say: value }),
  chars: (value) => optional('chars', count(value)),
  hang: (value) => (value === '' ? { hang: 'before' } : value === 'mid' ? { hang: 'mid' } : undefined),
  die: (value) => (value === '' ? { die: true } : undefined),
  tool: (value, sofar) => {
    const [, name, json] = /^([\w.-]+)\s*([\s\S]*)$/.exec(value) ?? [];
    const input = parseText(json === '' ? '{}' : (json ?? '{}'));
    return name === undefined || !isRecord(input) ? undefined : { tools: [...sofar.tools, { name, input }] };
  },
};

/** Separates a prompt's directives from its text. */
export function parsePrompt(prompt: string): ParsedPrompt {
  let directives: Directives = { tools: [] };
  let text = '';
  let at = 0;
  for (const start of prompt.matchAll(/\[\[([a-z]+)(:|(?=\]\]))/g)) {
    if (start.index < at) continue;
    const found = take(prompt, start.index + start[0].length, start[1] ?? '', directives);
    if (found === undefined) continue;
    text += prompt.slice(at, start.index);
    directives = { ...directives, ...found.change };
    at = found.end;
  }
  return { directives, text: (text + prompt.slice(at)).trim() };
}

/** Tries each `]]` as the end of the value until the value is valid, because a value may contain `]]` (JSON often does). */
function take(prompt: string, from: number, name: string, sofar: Directives) {
  const parse = PARSERS[name];
  if (parse === undefined) return undefined;
  for (let end = prompt.indexOf(']]', from); end !== -1; end = prompt.indexOf(']]', end + 1)) {
    const change = parse(prompt.slice(from, end), sofar);
    if (change !== undefined) return { change, end: end + 2 };
  }
  return undefined;
}

function optional(key: 'delayMs' | 'chars', value: number | undefined): Change {
  return value === undefined ? undefined : { [key]: value };
}

function count(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
