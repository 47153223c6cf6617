import { join, resolve } from 'node:path';
import type { Command } from '../command.js';
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

/** `ksi export`: the way back, into an old daemon's working folder. */
export function register(program: Command): void {
  program
    .command('export')
    .description("Write profiles, identities, shared state, agents, prompts and sessions in the old daemon's form")
    .argument('<workdir>', 'the working folder of an old daemon, or a new one')
    .option('-n, --dry-run', 'tell what would be written, and write nothing')
    .option('--overwrite', 'replace files that are there and are others (session logs never are)')
    .option('--claude-dir <folder>', "Claude's folder for its transcripts (default: claude in the working folder)")
    .option('--prompts <folder>', 'KSI’s own folder of prompts, whose components are copied (default: KSI_PROMPTS)')
    .withValues({ workdir: 'files', 'claude-dir': 'files', prompts: 'files' })
    .withNotes('What belongs to the owner of the token is written. See docs/migration.md.')
    .withExamples('ksi export ~/old-ksi --claude-dir ~/.claude', 'ksi export --dry-run back')
    .action((workdir: string, _options: unknown, command: Command) =>
      runCommand(() => run(resolve(workdir), command.optsWithGlobals<Options>())),
    );
}

async function run(workdir: string, options: Options): Promise<number> {
  const { workDir } = await import('../../bridge/files/work-dir.js');
  const { exportWorkDir } = await import('../../bridge/move/export.js');
  const { client: connected, ksi } = clientAndTransportOf(options);
  await using client = connected;
  const prompts = options.prompts ?? process.env['KSI_PROMPTS'];
  const items = exportWorkDir({ ksi, client }, workDir(workdir), {
    dryRun: options.dryRun === true,
    overwrite: options.overwrite === true,
    claudeDir: options.claudeDir ?? join(workdir, 'claude'),
    prompts: prompts === '' ? undefined : prompts,
  });
  return await printMoved(items, options.output, options.dryRun === true);
}
