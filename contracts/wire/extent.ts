/** The maximum nesting of a value from outside. Recursive functions, including JSON.stringify, fail at a few thousand levels. */
export const MAX_DEPTH = 200;
/** The maximum number of fields of an object. */
export const MAX_FIELDS = 50_000;

export interface Extent {
  /** Why the value is refused without validation. Undefined: it may be validated. */
  readonly tooMuch: string | undefined;
  /** The number of values in it. */
  readonly values: number;
}

/** Measures a JSON value. It works level by level, because recursion could overflow the stack. */
export function extentOf(value: unknown): Extent {
  let values = 1;
  let level = nested(value) ? [value] : [];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return { tooMuch: `is nested more than ${MAX_DEPTH} levels deep`, values };
    const next: object[] = [];
    for (const each of level) {
      const inside: readonly unknown[] = Array.isArray(each) ? each : fieldsOf(each);
      if (inside !== each && inside.length > MAX_FIELDS)
        return { tooMuch: `contains an object with more than ${MAX_FIELDS} fields`, values };
      for (const inner of inside) if (nested(inner)) next.push(inner);
      values += inside.length;
    }
    level = next;
  }
  return { tooMuch: undefined, values };
}

/** The values of an object's fields; at most MAX_FIELDS + 1. */
function fieldsOf(value: object): unknown[] {
  const fields: unknown[] = [];
  for (const name in value) {
    fields.push(value[name as keyof typeof value]);
    if (fields.length > MAX_FIELDS) break;
  }
  return fields;
}

const nested = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Truncates arrays and objects at every level. Pass only values that `extentOf` accepted. */
export function beginningOf(value: unknown, most: number): unknown {
  if (Array.isArray(value)) return value.slice(0, most).map((item) => beginningOf(item, most));
  if (!nested(value)) return value;
  const fields = Object.entries(value).slice(0, most);
  return Object.fromEntries(fields.map(([name, field]) => [name, beginningOf(field, most)]));
}
