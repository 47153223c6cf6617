import { Argument } from 'commander';
import type { Command } from '../command.js';
import { complete } from '../completion/complete.js';
import { ASK, FILES, SCRIPTS, SHELLS, type Shell } from '../completion/scripts.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { oneLine } from '../output/table.js';
import { runCommand } from '../run.js';

/** `ksi completion SHELL`: what a shell is to be told, and the command that it then asks. */
export function register(program: Command): void {
  program
    .command('completion')
    .description('Print what makes a shell complete commands, options and ids')
    .addArgument(new Argument('<shell>', 'which shell').choices([...SHELLS]))
    .withNotes(
      `To have it always, write it where the shell looks, or load it at its start:
  bash  echo 'source <(ksi completion bash)' >> ~/.bashrc
  zsh   echo 'source <(ksi completion zsh)' >> ~/.zshrc
  fish  ksi completion fish > ~/.config/fish/completions/ksi.fish`,
    )
    .withExamples('source <(ksi completion bash)', 'ksi completion fish | source')
    .action((shell: Shell) => void process.stdout.write(SCRIPTS[shell]));
  program
    .command(ASK, { hidden: true })
    .description('What may stand at the cursor: a value and what it is, a line each')
    .argument('[words...]')
    .action((words: string[], _options: unknown, command: Command) =>
      runCommand(async () => {
        const { candidates, values } = complete(program, words);
        const lines = candidates.map(({ value, description }) => `${value}\t${oneLine(description)}`);
        if (values === 'files') lines.push(FILES);
        else if (values !== undefined) {
          const { knownValues } = await import('../completion/values.js');
          const known = await knownValues(values, command.optsWithGlobals<GlobalOptions>());
          lines.push(...known.map(({ value, description }) => `${value}\t${oneLine(description)}`));
        }
        process.stdout.write(lines.map((line) => `${line}\n`).join(''));
        return EXIT.ok;
      }),
    );
}
