import { join, resolve } from 'node:path';
import type { Command } from '../command.js';
import { clientAndTransportOf } from '../client.js';
import type { GlobalOptions } from '../options.js';
import { printMoved } from '../output/moved.js';

interface Options extends GlobalOptions {
  readonly dryRun?: true;
  readonly overwrite?: true;
  readonly claudeDir?: string;
  readonly prompts?: string;
}

/** `ksi export` */
export function register(program: Command): void {
  program
    .command('export')
    .description(
      "Export profiles, identities, shared state, agents, prompts and sessions in the legacy daemon's format",
    )
    .argument('<workdir>', 'the working folder of a legacy daemon, or a new folder')
    .option('-n, --dry-run', 'print what would be written, and write nothing')
    .option('--overwrite', 'replace existing files that differ (never session logs)')
    .option('--claude-dir <folder>', "Claude's folder for transcripts (default: claude in the working folder)")
    .option('--prompts <folder>', 'KSI’s prompts folder, whose components are copied (default: KSI_PROMPTS)')
    .withValues({ workdir: 'files', 'claude-dir': 'files', prompts: 'files' })
    .withNotes('Exports what belongs to the owner of the token. See docs/migration.md.')
    .withExamples('ksi export ~/old-ksi --claude-dir ~/.claude', 'ksi export --dry-run back')
    .runs(run);
}

async function run(folder: string, options: Options): Promise<number> {
  const workdir = resolve(folder);
  const { workDir } = await import('../../bridge/files/work-dir.js');
  const { exportWorkDir } = await import('../../bridge/migration/export.js');
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
