/**
 * What a prompt may ask of the stand-in: `[[name]]` or `[[name:value]]`, anywhere in the last user prompt.
 * A directive that is misspelt or has a bad value is left in the text, where the echo shows it.
 */

/** An HTTP error to answer with, and how often (for ever unless said). */
export interface StatusDirective {
  readonly code: number;
  readonly times: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ToolCall {
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface Directives {
  /** `[[status:429 retry-after=1 times=2]]`: fail so; further `key=value` pairs become headers. */
  readonly status?: StatusDirective;
  /** `[[delay:500]]`: wait so many ms before answering. */
  readonly delayMs?: number;
  /** `[[say:TEXT]]`: the answer, word for word. */
  readonly say?: string;
  /** `[[chars:100000]]`: an answer of this length. */
  readonly chars?: number;
  /** `[[hang]]`: answer nothing until released; `[[hang:mid]]`: stop half-way through the stream. */
  readonly hang?: 'before' | 'mid';
  /** `[[die]]`: cut the connection half-way through the stream. */
  readonly die?: true;
  /** `[[tool:Bash {"command":"echo hi"}]]`: call tools, one a request, before the final text. */
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
    const input = name === undefined ? undefined : object(json === '' ? '{}' : (json ?? '{}'));
    return name === undefined || input === undefined ? undefined : { tools: [...sofar.tools, { name, input }] };
  },
};

/** Splits a prompt into its directives and the rest. */
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

/** A value may itself hold `]]` (JSON often does), so each closing pair is tried until the value makes sense. */
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

function object(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined; // Not yet the end of the value: take() tries the next closing pair.
  }
}
