import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

/** The old daemon's working folder. */
export interface WorkDir {
  readonly root: string;
  readonly logs: string;
  readonly sockets: string;
  readonly profiles: string;
  readonly prompts: string;
  readonly sharedState: string;
  /** The bridge's own state, which clients do not read. */
  readonly own: string;
}

export function workDir(root: string): WorkDir {
  return {
    root,
    logs: join(root, 'claude_logs'),
    sockets: join(root, 'sockets'),
    profiles: join(root, 'agent_profiles'),
    prompts: join(root, 'prompts'),
    sharedState: join(root, 'shared_state'),
    own: join(root, '.ksi-bridge'),
  };
}

/** Creates the folders that the old daemon created at its start. */
export async function makeWorkDir(dir: WorkDir): Promise<void> {
  for (const folder of [dir.root, dir.logs, dir.sockets, dir.profiles, dir.own, join(dir.own, 'runs')])
    await mkdir(folder, { recursive: true, mode: 0o700 });
}
