import { pathFields, type Operation } from '../../contracts/api/operations.js';

/** What is sent over HTTP for an operation. */
export interface HttpRequest {
  readonly method: Operation['method'];
  /** With its query. */
  readonly path: string;
  readonly body: string | undefined;
}

/** Puts each field of a request where the operation has it: into the path, the query or the body. */
export function httpRequestOf({ method, path, body, query }: Operation, request: object): HttpRequest {
  const fields = Object.entries(request).filter(([, value]) => value !== undefined);
  const inPath = pathFields(path);
  const rest = fields.filter(([name]) => !inPath.includes(name));
  const inQuery = rest.filter(([name]) => body !== true || query?.includes(name) === true);
  const inBody = rest.filter((field) => !inQuery.includes(field));
  const given = Object.fromEntries(fields) as Record<string, unknown>;
  return {
    method,
    path:
      path.replaceAll(/:([a-z_]+)/g, (_all, name: string) => encodeURIComponent(String(given[name]))) +
      queryOf(inQuery),
    body: body === true ? JSON.stringify(Object.fromEntries(inBody)) : undefined,
  };
}

/** As the query of a URL, with its `?`. */
function queryOf(fields: readonly (readonly [string, unknown])[]): string {
  const search = new URLSearchParams();
  for (const [name, value] of fields) search.set(name, typeof value === 'string' ? value : JSON.stringify(value));
  return search.size === 0 ? '' : `?${search.toString()}`;
}
