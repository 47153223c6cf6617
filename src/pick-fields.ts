/** The fields of `from` whose names are in `names`, without undefined values. */
export const pickFields = <T extends object, K extends PropertyKey>(
  from: T,
  names: Readonly<Record<K, unknown>>,
): Pick<T, Extract<keyof T, K>> =>
  Object.fromEntries(
    Object.entries(from).filter(([name, value]) => value !== undefined && Object.hasOwn(names, name)),
  ) as Pick<T, Extract<keyof T, K>>;
