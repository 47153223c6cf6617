import { Argument } from 'commander';
import type { Command } from '../command.js';
import { complete } from '../completion/complete.js';
import { ASK, FILES, SCRIPTS, SHELLS, type Shell } from '../completion/scripts.js';
import type { GlobalOptions } from '../options.js';
import { oneLine } from '../output/table.js';

/** `ksi completion SHELL`, and the hidden command that the shell calls. */
export function register(program: Command): void {
  program
    .command('completion')
    .description('Print a script that lets a shell complete commands, options and ids')
    .addArgument(new Argument('<shell>', 'the shell').choices([...SHELLS]))
    .withNotes(
      `To install it permanently, load it in the shell's startup file or write it to the shell's completions folder:
  bash  echo 'source <(ksi completion bash)' >> ~/.bashrc
  zsh   echo 'source <(ksi completion zsh)' >> ~/.zshrc
  fish  ksi completion fish > ~/.config/fish/completions/ksi.fish`,
    )
    .withExamples('source <(ksi completion bash)', 'ksi completion fish | source')
    .action((shell: Shell) => void process.stdout.write(SCRIPTS[shell]));
  program
    .command(ASK, { hidden: true })
    .description('List the completions at the cursor: a value and its description per line')
    .argument('[words...]')
    .runs(async (words: string[], options: GlobalOptions) => {
      const { candidates, values } = complete(program, words);
      const lines = candidates.map(({ value, description }) => `${value}\t${oneLine(description)}`);
      if (values === 'files') lines.push(FILES);
      else if (values !== undefined) {
        const { knownValues } = await import('../completion/values.js');
        const known = await knownValues(values, options);
        lines.push(...known.map(({ value, description }) => `${value}\t${oneLine(description)}`));
      }
      process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    });
}
