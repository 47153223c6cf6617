import type { Comparison, Condition, Value } from './condition.js';

export type Context = Readonly<Record<string, Value>>;

/** Whether a condition holds. Keys that the context lacks are None. */
export const holds = (condition: Condition, context: Context): boolean => truth(valueOf(condition, context));

/** Truth as in Python: everything except None, False, 0 and empty values. */
export function truth(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isRecord(value)) return Object.keys(value).length > 0;
  // NaN is true in Python; JSON has none.
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== '';
}

/** As in Python, `and` and `or` return one of their operands. */
function valueOf(condition: Condition, context: Context): Value {
  switch (condition.kind) {
    case 'value':
      return condition.value;
    case 'key':
      return Object.hasOwn(context, condition.name) ? context[condition.name] : null;
    case 'list':
      return condition.items.map((item) => valueOf(item, context));
    case 'not':
      return !holds(condition.of, context);
    case 'and':
    case 'or': {
      const left = valueOf(condition.left, context);
      return truth(left) === (condition.kind === 'and') ? valueOf(condition.right, context) : left;
    }
    default:
      return COMPARE[condition.by](valueOf(condition.left, context), valueOf(condition.right, context));
  }
}

const COMPARE: Readonly<Record<Comparison, (left: Value, right: Value) => boolean>> = {
  '==': equal,
  '!=': (left, right) => !equal(left, right),
  '<': (left, right) => orderOf(left, right, (order) => order < 0),
  '<=': (left, right) => orderOf(left, right, (order) => order <= 0),
  '>': (left, right) => orderOf(left, right, (order) => order > 0),
  '>=': (left, right) => orderOf(left, right, (order) => order >= 0),
  in: within,
  'not in': (left, right) => !within(left, right),
};

/** True and False equal 1 and 0. A string never equals a number. */
export function equal(left: Value, right: Value): boolean {
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined || b !== undefined) return a === b;
  if (Array.isArray(left) && Array.isArray(right))
    return left.length === right.length && left.every((item, index) => equal(item, right[index]));
  if (isRecord(left) && isRecord(right)) {
    const keys = Object.keys(left);
    return (
      keys.length === Object.keys(right).length &&
      keys.every((key) => Object.hasOwn(right, key) && equal(left[key], right[key]))
    );
  }
  return (left ?? null) === (right ?? null);
}

/** Compares numbers or strings. For other operands, where Python raises an error, the comparison is false. */
function orderOf(left: Value, right: Value, fits: (order: number) => boolean): boolean {
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) return fits(a - b);
  return typeof left === 'string' && typeof right === 'string' && fits(byCodePoint(left, right));
}

function byCodePoint(left: string, right: string): number {
  const [a, b] = [Array.from(left), Array.from(right)];
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const order = (a[index]?.codePointAt(0) ?? 0) - (b[index]?.codePointAt(0) ?? 0);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** `in`: an item of a list, a substring, or a key of an object. */
function within(left: Value, right: Value): boolean {
  if (Array.isArray(right)) return right.some((item) => equal(item, left));
  if (typeof left !== 'string') return false;
  return typeof right === 'string' ? right.includes(left) : isRecord(right) && Object.hasOwn(right, left);
}

function numberOf(value: Value): number | undefined {
  if (typeof value === 'boolean') return value ? 1 : 0;
  return typeof value === 'number' ? value : undefined;
}

const isRecord = (value: Value): value is Record<string, Value> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
