import { ConditionError, type Comparison, type Condition } from './condition.js';
import { tokensIn, type Token } from './tokens.js';

/** A condition is one or two lines. A much longer one is a mistake or an attack. */
export const MAX_CONDITION_CHARS = 4_000;
/** The maximum nesting of parentheses, lists and `not`. */
const MAX_DEPTH = 50;

const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  True: true,
  true: true,
  False: false,
  false: false,
  None: null,
  none: null,
  null: null,
};
const COMPARING = new Set(['==', '!=', '<=', '>=', '<', '>', 'in']);

/**
 * Parses a condition. Operators from the lowest precedence: `or`, `and`, `not`, one comparison (`==`, `!=`, `<`, `<=`, `>`, `>=`, `in`,
 * `not in`). Operands: `{{key}}`, strings, numbers, `True`, `False`, `None`, lists, and expressions in parentheses.
 * @throws {ConditionError}
 */
export function parseCondition(text: string): Condition {
  if (text.length > MAX_CONDITION_CHARS)
    throw new ConditionError(`A condition has at most ${MAX_CONDITION_CHARS} characters`, MAX_CONDITION_CHARS);
  return new Parser(tokensIn(text)).whole();
}

class Parser {
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Condition {
    const condition = this.#or();
    const rest = this.#now;
    if (rest.kind !== 'end') throw unexpected(rest, 'the end, `and` or `or`');
    return condition;
  }

  get #now(): Token {
    return this.#tokens[this.#index] ?? { kind: 'end', at: 0 };
  }

  /** Consumes the sign if it is the next token. */
  #takes(text: string): boolean {
    const token = this.#now;
    if (token.kind !== 'sign' || token.text !== text) return false;
    this.#index++;
    return true;
  }

  #within<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH)
      throw new ConditionError(`It is nested deeper than ${MAX_DEPTH} levels`, this.#now.at);
    const done = read();
    this.#depth--;
    return done;
  }

  #or(): Condition {
    let left = this.#and();
    while (this.#takes('or')) left = { kind: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Condition {
    let left = this.#not();
    while (this.#takes('and')) left = { kind: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Condition {
    return this.#takes('not') ? this.#within(() => ({ kind: 'not', of: this.#not() })) : this.#comparison();
  }

  #comparison(): Condition {
    const left = this.#operand();
    const by = this.#comparing();
    if (by === undefined) return left;
    const right = this.#operand();
    const again = this.#now;
    if (again.kind === 'sign' && (COMPARING.has(again.text) || again.text === 'not'))
      throw new ConditionError('Comparisons cannot be chained: join them with `and`', again.at);
    return { kind: 'compare', by, left, right };
  }

  #comparing(): Comparison | undefined {
    const token = this.#now;
    if (token.kind !== 'sign') return undefined;
    if (this.#takes('not')) {
      if (!this.#takes('in')) throw unexpected(this.#now, '`in` after `not`');
      return 'not in';
    }
    if (!COMPARING.has(token.text)) return undefined;
    this.#index++;
    return token.text as Comparison;
  }

  #operand(): Condition {
    const token = this.#now;
    if (token.kind === 'end') throw unexpected(token, 'a value');
    this.#index++;
    if (token.kind === 'key') return { kind: 'key', name: token.name };
    if (token.kind !== 'sign') return { kind: 'value', value: token.value };
    if (token.text === '(') return this.#within(() => this.#closed(this.#or(), ')'));
    if (token.text === '[') return this.#within(() => this.#list());
    if (token.text === '-') return this.#negative();
    const constant = CONSTANTS[token.text];
    if (constant === undefined) throw unexpected(token, 'a value');
    return { kind: 'value', value: constant };
  }

  #negative(): Condition {
    const token = this.#now;
    if (token.kind !== 'number') throw unexpected(token, 'a number after `-`');
    this.#index++;
    return { kind: 'value', value: -token.value };
  }

  #list(): Condition {
    const items: Condition[] = [];
    while (!this.#takes(']')) {
      if (items.length > 0 && !this.#takes(',')) throw unexpected(this.#now, '`,` or `]`');
      // A trailing comma is allowed.
      if (items.length > 0 && this.#takes(']')) break;
      items.push(this.#or());
    }
    return { kind: 'list', items };
  }

  #closed(condition: Condition, by: string): Condition {
    if (!this.#takes(by)) throw unexpected(this.#now, `\`${by}\``);
    return condition;
  }
}

function unexpected(token: Token, expected: string): ConditionError {
  return new ConditionError(`Expected ${expected}, found ${nameOf(token)}`, token.at);
}

function nameOf(token: Token): string {
  switch (token.kind) {
    case 'end':
      return 'the end';
    case 'key':
      return `{{${token.name}}}`;
    case 'sign':
      return `\`${token.text}\``;
    default:
      return JSON.stringify(token.value);
  }
}
