/** The fields of `from` whose names are in `names`, without undefined values. */
export function pickFields<T extends object, K extends PropertyKey>(
  from: T,
  names: Readonly<Record<K, unknown>>,
): Pick<T, Extract<keyof T, K>> {
  const picked: Partial<T> = {};
  for (const name in from)
    if (from[name] !== undefined && Object.hasOwn(from, name) && Object.hasOwn(names, name)) picked[name] = from[name];
  return picked as Pick<T, Extract<keyof T, K>>;
}
