/** A field of type unknown may hold undefined, and is there all the same. */
type IsOptional<T> = unknown extends T ? false : undefined extends T ? true : false;
type Writable<T> = T extends readonly (infer E)[] ? E[] : T;
type Defined<T> = { -readonly [K in keyof T as IsOptional<T[K]> extends true ? never : K]: Writable<T[K]> } & {
  -readonly [K in keyof T as IsOptional<T[K]> extends true ? K : never]?: Writable<Exclude<T[K], undefined>>;
};

/** The object without its undefined fields. An optional field of a contract is absent when it has no value. */
export function defined<const T extends object>(object: T): Defined<T> {
  for (const name in object)
    if (object[name] === undefined && Object.hasOwn(object, name))
      return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
  return object as unknown as Defined<T>;
}
