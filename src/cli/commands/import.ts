import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from '../command.js';
import type { MovedItem } from '../../bridge/move/item.js';
import { clientAndTransportOf } from '../client.js';
import type { GlobalOptions } from '../options.js';
import { printMoved } from '../output/moved.js';
import { runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly dryRun?: true;
  readonly overwrite?: true;
  readonly claudeDir?: string;
  readonly prompts?: string;
}

/** `ksi import`: an old daemon's working folder comes over. */
export function register(program: Command): void {
  program
    .command('import')
    .description("Bring an old daemon's working folder over: profiles, identities, shared state, prompts, sessions")
    .argument('<workdir>', "the old daemon's working folder")
    .option('-n, --dry-run', 'tell what would be brought, and change nothing')
    .option('--overwrite', 'replace what KSI has and is another (sessions never are)')
    .option(
      '--claude-dir <folder>',
      "Claude's folder with its transcripts (default: CLAUDE_CONFIG_DIR, else ~/.claude)",
    )
    .option('--prompts <folder>', 'where compositions and components are copied to (default: KSI_PROMPTS)')
    .withValues({ workdir: 'files', 'claude-dir': 'files', prompts: 'files' })
    .withNotes(
      'Twice is harmless: what is there already is left as it is. What can’t be brought is named; the exit code is 1 when something failed.',
      'See docs/migration.md.',
    )
    .withExamples('ksi import --dry-run ~/old-ksi', 'ksi import ~/old-ksi --claude-dir ~/.claude')
    .action((workdir: string, _options: unknown, command: Command) =>
      runCommand(() => run(workdir, command.optsWithGlobals<Options>())),
    );
}

async function run(workdir: string, options: Options): Promise<number> {
  const { workDir } = await import('../../bridge/files/work-dir.js');
  const { importWorkDir } = await import('../../bridge/move/import.js');
  const { client: connected, ksi } = clientAndTransportOf(options);
  await using client = connected;
  const items: AsyncIterable<MovedItem> = importWorkDir({ ksi, client }, workDir(resolve(workdir)), {
    dryRun: options.dryRun === true,
    overwrite: options.overwrite === true,
    claudeDir: options.claudeDir ?? present(process.env['CLAUDE_CONFIG_DIR']) ?? join(homedir(), '.claude'),
    prompts: options.prompts ?? present(process.env['KSI_PROMPTS']),
  });
  return await printMoved(items, options.output, options.dryRun === true);
}

const present = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
