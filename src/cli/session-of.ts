import type { KsiClient } from '../client/client.js';
import { KsiError } from '../client/errors.js';
import { isTaskId } from './ids.js';

/** The session of that UUID or name, or the session of that task. @throws {KsiError} `session_not_found` */
export async function sessionOf(client: KsiClient, id: string): Promise<string> {
  try {
    return (await client.sessions.get(id)).session_id;
  } catch (error) {
    if (!isTaskId(id) || !(error instanceof KsiError) || error.code !== 'session_not_found') throw error;
    const task = await client.tasks.get(id).catch(() => undefined);
    if (task === undefined) throw error;
    return task.session_id;
  }
}
