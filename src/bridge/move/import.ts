import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KsiApi } from '../../client/api.js';
import type { Transport } from '../../client/transport.js';
import type { WorkDir } from '../files/work-dir.js';
import { importPrompts } from './import-prompts.js';
import { importIdentities, importProfiles, importShared, importStateFiles } from './import-records.js';
import { importSessions } from './import-sessions.js';
import type { MovedItem } from './item.js';
import { namesIn } from './json-file.js';
import { ClaudeTranscripts } from './transcripts.js';

export interface ImportOptions {
  readonly dryRun: boolean;
  /** Whether what KSI has and differs is replaced. Sessions never are. */
  readonly overwrite: boolean;
  /** Where Claude keeps its transcripts. */
  readonly claudeDir: string;
  /** KSI's own folder of prompts, if it is known. */
  readonly prompts: string | undefined;
}

/** Files and folders of the old daemon that hold nothing to bring, or what is brought by the name of something else. */
const KNOWN = new Set([
  'agent_profiles',
  'claude_logs',
  'prompts',
  'shared_state',
  'identities.json',
  'sockets',
  'logs',
]);

/** Brings an old working folder over. Twice is harmless: what is there is left as it is. */
export async function* importWorkDir(
  { ksi, client }: { readonly ksi: Transport; readonly client: KsiApi },
  dir: WorkDir,
  options: ImportOptions,
): AsyncGenerator<MovedItem> {
  yield* importProfiles(ksi, dir, options);
  yield* importIdentities(ksi, dir, options);
  yield* importShared(ksi, dir, options);
  yield* importStateFiles(ksi, dir, options);
  yield* importPrompts(dir, options.prompts, options);
  yield* importSessions(client, dir, new ClaudeTranscripts(options.claudeDir), options);
  yield* leftOver(dir);
}

/** What has no place in KSI is named, so that nobody believes it was brought. */
async function* leftOver(dir: WorkDir): AsyncGenerator<MovedItem> {
  if ((await namesIn(dir.logs)).includes('message_bus.jsonl'))
    yield {
      kind: 'log',
      name: 'message_bus.jsonl',
      outcome: 'left',
      note: 'Messages of the past stay a file; KSI keeps its own for 30 days.',
    };
  for (const name of await namesIn(dir.root)) {
    if (KNOWN.has(name) || name.startsWith('.') || /state.*\.json$/.test(name)) continue;
    const folder = (await lstat(join(dir.root, name))).isDirectory();
    yield { kind: 'file', name: folder ? `${name}/` : name, outcome: 'left', note: 'It is nothing that KSI keeps.' };
  }
}
