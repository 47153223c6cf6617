import type { Problem } from '../../contracts/http.js';
import { KsiError, KsiUnreachableError } from './errors.js';

export interface KsiClientOptions {
  /** An API's address, as `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly token: string;
}

/** Requests to KSI's HTTP API. @throws {KsiError} an error that KSI answers. @throws {KsiUnreachableError} no answer. */
export class Http {
  readonly url: string;
  readonly token: string;

  constructor({ url, token }: KsiClientOptions) {
    this.url = url.replace(/\/+$/, '');
    this.token = token;
  }

  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#json(path, signalOf(signal));
  }

  /** @param body is sent as JSON; without one the request has none. */
  post<T>(path: string, body?: unknown, signal?: AbortSignal, headers: Record<string, string> = {}): Promise<T> {
    return this.#json(path, {
      method: 'POST',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...signalOf(signal),
    });
  }

  async delete(path: string, signal?: AbortSignal): Promise<void> {
    const answer = await this.request(path, { method: 'DELETE', ...signalOf(signal) });
    await answer.body?.cancel();
  }

  async #json<T>(path: string, init: RequestInit): Promise<T> {
    const answer = await this.request(path, init);
    try {
      return (await answer.json()) as T;
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new KsiUnreachableError(this.url, error); // Broken off within the answer, or not one of KSI's.
    }
  }

  async request(path: string, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(`${this.url}${path}`, {
        ...init,
        headers: { ...(init.headers as Record<string, string> | undefined), authorization: `Bearer ${this.token}` },
      });
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new KsiUnreachableError(this.url, error);
    }
    if (answer.ok) return answer;
    const problem = await answer.json().then(
      (body) => body as Problem,
      () => undefined,
    );
    const retryAfter = Number(answer.headers.get('retry-after'));
    throw new KsiError(answer.status, problem, Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined);
  }
}

export const signalOf = (signal: AbortSignal | undefined): { signal?: AbortSignal } =>
  signal === undefined ? {} : { signal };

/** As the query of a URL, with its `?`; what is undefined is left out. */
export function queryOf(fields: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? '' : `?${search.toString()}`;
}
