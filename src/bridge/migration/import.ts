import { lstat, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KsiApi } from '../../client/api.js';
import type { Transport } from '../../client/transport.js';
import { ifExists } from '../../if-exists.js';
import { BridgeError } from '../errors.js';
import type { WorkDir } from '../files/work-dir.js';
import { importPrompts } from './import-prompts.js';
import { importIdentities, importProfiles, importShared, importStateFiles } from './import-records.js';
import { importSessions } from './import-sessions.js';
import type { MovedItem } from './item.js';
import { namesIn } from './json-file.js';
import { ClaudeTranscripts } from './transcripts.js';

export interface ImportOptions {
  readonly dryRun: boolean;
  /** Whether to replace KSI's records that differ. Sessions are never replaced. */
  readonly overwrite: boolean;
  /** Claude's configuration folder, which has the transcripts. */
  readonly claudeDir: string;
  /** Whether the user named it. The default folder need not exist. */
  readonly claudeDirGiven: boolean;
  /** KSI's folder of prompts, if known. */
  readonly prompts: string | undefined;
}

/** Files and folders that another item covers, or that have nothing to import. */
const KNOWN = new Set([
  'agent_profiles',
  'claude_logs',
  'prompts',
  'shared_state',
  'identities.json',
  'sockets',
  'logs',
]);

/** Imports an old working folder. Idempotent: what was imported before is left as it is. */
export async function* importWorkDir(
  { ksi, client }: { readonly ksi: Transport; readonly client: KsiApi },
  dir: WorkDir,
  options: ImportOptions,
): AsyncGenerator<MovedItem> {
  await demandFolder(dir.root);
  if (options.claudeDirGiven) await demandFolder(options.claudeDir);
  yield* importProfiles(ksi, dir, options);
  yield* importIdentities(ksi, dir, options);
  yield* importShared(ksi, dir, options);
  yield* importStateFiles(ksi, dir, options);
  yield* importPrompts(dir, options.prompts, options);
  yield* importSessions(client, dir, new ClaudeTranscripts(options.claudeDir), options);
  yield* leftOver(dir);
}

/** @throws {BridgeError} */
async function demandFolder(path: string): Promise<void> {
  if ((await ifExists(stat(path)))?.isDirectory() !== true)
    throw new BridgeError(`${path} is not a folder. Check the path.`);
}

/** Reports everything that KSI cannot store. */
async function* leftOver(dir: WorkDir): AsyncGenerator<MovedItem> {
  if ((await namesIn(dir.logs)).includes('message_bus.jsonl'))
    yield {
      kind: 'log',
      name: 'message_bus.jsonl',
      outcome: 'left',
      note: 'KSI does not import old messages. Keep the file if you need them.',
    };
  for (const name of await namesIn(dir.root)) {
    if (KNOWN.has(name) || name.startsWith('.') || /state.*\.json$/.test(name)) continue;
    const folder = (await lstat(join(dir.root, name))).isDirectory();
    yield { kind: 'file', name: folder ? `${name}/` : name, outcome: 'left', note: 'KSI has no use for it.' };
  }
}
