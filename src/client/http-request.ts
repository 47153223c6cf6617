import type { Operation, Repeatable } from '../../contracts/wire/operation.js';
import { pathFields, pathOf } from '../../contracts/wire/path.js';

/** The part of an operation that a client needs to call it. */
export interface Route extends Pick<Operation, 'method' | 'path'> {
  /** Whether the fields that are not in the path form a JSON body. Otherwise they form the query. */
  readonly body?: true;
  /** Query fields of an operation with a body. */
  readonly query?: readonly string[];
  readonly repeatable?: Repeatable;
  /** Whether the answer is text. */
  readonly text?: true;
  /** Whether the answer is a stream of bytes. */
  readonly bytes?: true;
}

/** The HTTP request for an operation. */
export interface HttpRequest {
  readonly method: Route['method'];
  /** The path with the query. */
  readonly path: string;
  readonly body: string | undefined;
}

/** Distributes the fields of a request among the path, the query and the body. */
export function httpRequestOf({ method, path, body, query }: Route, request: object): HttpRequest {
  const fields = Object.entries(request).filter(([, value]) => value !== undefined);
  const inPath = pathFields(path);
  const rest = fields.filter(([name]) => !inPath.includes(name));
  const inQuery = rest.filter(([name]) => body !== true || query?.includes(name) === true);
  const inBody = rest.filter((field) => !inQuery.includes(field));
  const byName = Object.fromEntries(fields) as Record<string, unknown>;
  return {
    method,
    path: pathOf(path, byName) + queryOf(inQuery),
    body: body === true ? JSON.stringify(Object.fromEntries(inBody)) : undefined,
  };
}

/** Encodes fields as a query with a leading `?`. Lists are separated by commas. `''` without fields. */
function queryOf(fields: readonly (readonly [string, unknown])[]): string {
  const search = new URLSearchParams();
  for (const [name, value] of fields)
    search.set(
      name,
      Array.isArray(value) ? value.join(',') : typeof value === 'string' ? value : JSON.stringify(value),
    );
  return search.size === 0 ? '' : `?${search.toString()}`;
}
