/** Levels that a value from outside may have: whatever walks through it by recursion, JSON.stringify too, fails at a few thousand. */
export const MAX_DEPTH = 200;
/** Fields that one object in it may have. */
export const MAX_FIELDS = 50_000;

export interface Extent {
  /** Why no schema need look at it; undefined: one may. */
  readonly tooMuch: string | undefined;
  /** The values in it. */
  readonly values: number;
}

/** How much there is in a JSON value. Level by level: it may be deeper than a stack. */
export function extentOf(value: unknown): Extent {
  let values = 1;
  let level = nested(value) ? [value] : [];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return { tooMuch: `is nested more than ${MAX_DEPTH} levels deep`, values };
    const next: object[] = [];
    for (const each of level) {
      const inside: readonly unknown[] = Array.isArray(each) ? each : fieldsOf(each);
      if (inside !== each && inside.length > MAX_FIELDS)
        return { tooMuch: `holds an object of more than ${MAX_FIELDS} fields`, values };
      for (const inner of inside) if (nested(inner)) next.push(inner);
      values += inside.length;
    }
    level = next;
  }
  return { tooMuch: undefined, values };
}

/** The values of its fields; of too many, one more than there may be. */
function fieldsOf(value: object): unknown[] {
  const fields: unknown[] = [];
  for (const name in value) {
    fields.push(value[name as keyof typeof value]);
    if (fields.length > MAX_FIELDS) break;
  }
  return fields;
}

const nested = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** The same with no more than so many items or fields at any place. Only for what `extentOf` finds not too deep. */
export function beginningOf(value: unknown, most: number): unknown {
  if (Array.isArray(value)) return value.slice(0, most).map((item) => beginningOf(item, most));
  if (!nested(value)) return value;
  const fields = Object.entries(value).slice(0, most);
  return Object.fromEntries(fields.map(([name, field]) => [name, beginningOf(field, most)]));
}
