import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from '../command.js';
import type { MovedItem } from '../../bridge/migration/item.js';
import { clientAndTransportOf } from '../client.js';
import type { GlobalOptions } from '../options.js';
import { printMoved } from '../output/moved.js';

interface Options extends GlobalOptions {
  readonly dryRun?: true;
  readonly overwrite?: true;
  readonly claudeDir?: string;
  readonly prompts?: string;
}

/** `ksi import` */
export function register(program: Command): void {
  program
    .command('import')
    .description("Import a legacy daemon's working folder: profiles, identities, shared state, prompts, sessions")
    .argument('<workdir>', "the legacy daemon's working folder")
    .option('-n, --dry-run', 'print what would be imported, and change nothing')
    .option('--overwrite', 'replace existing objects that differ (never sessions)')
    .option(
      '--claude-dir <folder>',
      "Claude's folder with its transcripts (default: CLAUDE_CONFIG_DIR, else ~/.claude)",
    )
    .option('--prompts <folder>', 'the folder to which compositions and components are copied (default: KSI_PROMPTS)')
    .withValues({ workdir: 'files', 'claude-dir': 'files', prompts: 'files' })
    .withNotes(
      'You can repeat it: existing objects are kept. It lists what it could not import, and then exits with code 1.',
      'See docs/migration.md.',
    )
    .withExamples('ksi import --dry-run ~/old-ksi', 'ksi import ~/old-ksi --claude-dir ~/.claude')
    .runs(run);
}

async function run(workdir: string, options: Options): Promise<number> {
  const { workDir } = await import('../../bridge/files/work-dir.js');
  const { importWorkDir } = await import('../../bridge/migration/import.js');
  const { client: connected, ksi } = clientAndTransportOf(options);
  await using client = connected;
  const items: AsyncIterable<MovedItem> = importWorkDir({ ksi, client }, workDir(resolve(workdir)), {
    dryRun: options.dryRun === true,
    overwrite: options.overwrite === true,
    claudeDirGiven: options.claudeDir !== undefined,
    claudeDir: options.claudeDir ?? present(process.env['CLAUDE_CONFIG_DIR']) ?? join(homedir(), '.claude'),
    prompts: options.prompts ?? present(process.env['KSI_PROMPTS']),
  });
  return await printMoved(items, options.output, options.dryRun === true);
}

const present = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
