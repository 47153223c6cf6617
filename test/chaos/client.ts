import { IDEMPOTENCY_HEADER } from '../../contracts/wire/names.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import type { Cancel, Post } from './history.js';

/** An API and how to speak to it. */
export interface Access {
  readonly url: string;
  readonly token: string;
}

/** A standing API answers within it when it goes on; what is silent for longer is given up. */
const ANSWER_WITHIN_MS = 15_000;

export type PostOutcome = Pick<Post, 'result' | 'status' | 'taskId' | 'sessionId' | 'why'>;

/** Asks for a task once. Never rejects: what went wrong is what is of interest. */
export async function postSpawn(
  access: Access,
  request: SpawnRequest,
  idempotencyKey: string | undefined,
): Promise<PostOutcome> {
  try {
    const answer = await post(access, '/spawn', request, idempotencyKey);
    const body = (await answer.json()) as { task_id?: string; session_id?: string; code?: string };
    const { status } = answer;
    if (status === 202 && body.task_id !== undefined && body.session_id !== undefined)
      return { result: 'accepted', status, taskId: body.task_id, sessionId: body.session_id };
    // An API that failed does not say that nothing was started.
    return { result: status === 500 ? 'unanswered' : 'refused', status, why: body.code ?? '' };
  } catch (error) {
    const why = causeOf(error);
    return { result: why === 'ECONNREFUSED' ? 'unreachable' : 'unanswered', why };
  }
}

/** @returns undefined when no answer came. */
export async function postCancel(access: Access, taskId: string): Promise<Cancel | undefined> {
  const askedAt = Date.now();
  try {
    const answer = await post(access, `/tasks/${taskId}/cancel`, undefined, undefined);
    await answer.body?.cancel();
    return { taskId, askedAt, answeredAt: Date.now(), status: answer.status };
  } catch {
    return undefined; // Faults are what this is about; the next of them is no surprise.
  }
}

const post = (
  { url, token }: Access,
  path: string,
  body: SpawnRequest | undefined,
  idempotencyKey: string | undefined,
): Promise<Response> =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === undefined ? {} : { [IDEMPOTENCY_HEADER]: idempotencyKey }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });

function causeOf(error: unknown): string {
  const { cause, name } = error as Error;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : name;
}
