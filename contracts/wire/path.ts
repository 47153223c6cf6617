const FIELD = /:([a-z_]+)/g;

/** The names of the fields of a path template. */
export const pathFields = (template: string): string[] => [...template.matchAll(FIELD)].map(([, name = '']) => name);

/** Fills in the fields of a path template. */
export const pathOf = (template: string, fields: Readonly<Record<string, unknown>>): string =>
  template.replaceAll(FIELD, (_all, name: string) => encodeURIComponent(String(fields[name])));
