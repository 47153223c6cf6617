import type { KsiClient } from '../client/client.js';
import { KsiError } from '../client/errors.js';
import { isPrefix, isTaskId } from './ids.js';
import type { ConnectionOptions } from './connection.js';
import { resolveId } from './resolve-ids.js';

/** The session of that UUID or name, or the session of that task. @throws {KsiError} `session_not_found` @throws {CliError} */
export async function sessionOf(client: KsiClient, id: string, options: ConnectionOptions): Promise<string> {
  try {
    return (await client.sessions.get(id)).session_id;
  } catch (error) {
    if (!(error instanceof KsiError) || error.code !== 'session_not_found') throw error;
    if (!isTaskId(id) && !isPrefix(id)) throw error;
    const task = await client.tasks.get(await resolveId('tasks', id, options)).catch(() => undefined);
    if (task === undefined) throw error;
    return task.session_id;
  }
}
