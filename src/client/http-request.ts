import type { Operation, Repeatable } from '../../contracts/wire/operation.js';
import { pathFields, pathOf } from '../../contracts/wire/path.js';

/** The facts about an operation that a client needs to call it. */
export interface Route extends Pick<Operation, 'method' | 'path'> {
  /** Fields that are not in the path go into a JSON body; without this, into the query. */
  readonly body?: true;
  /** Fields that go into the query beside a body. */
  readonly query?: readonly string[];
  readonly repeatable?: Repeatable;
  /** The answer is text. */
  readonly text?: true;
}

/** What is sent over HTTP for an operation. */
export interface HttpRequest {
  readonly method: Route['method'];
  /** With its query. */
  readonly path: string;
  readonly body: string | undefined;
}

/** Puts each field of a request where the operation has it: into the path, the query or the body. */
export function httpRequestOf({ method, path, body, query }: Route, request: object): HttpRequest {
  const fields = Object.entries(request).filter(([, value]) => value !== undefined);
  const inPath = pathFields(path);
  const rest = fields.filter(([name]) => !inPath.includes(name));
  const inQuery = rest.filter(([name]) => body !== true || query?.includes(name) === true);
  const inBody = rest.filter((field) => !inQuery.includes(field));
  const given = Object.fromEntries(fields) as Record<string, unknown>;
  return {
    method,
    path: pathOf(path, given) + queryOf(inQuery),
    body: body === true ? JSON.stringify(Object.fromEntries(inBody)) : undefined,
  };
}

/** As the query of a URL, with its `?`. */
function queryOf(fields: readonly (readonly [string, unknown])[]): string {
  const search = new URLSearchParams();
  for (const [name, value] of fields)
    search.set(
      name,
      Array.isArray(value) ? value.join(',') : typeof value === 'string' ? value : JSON.stringify(value),
    );
  return search.size === 0 ? '' : `?${search.toString()}`;
}
