import type { Command } from '../command.js';
import { nearest } from '../words.js';

/** `ksi help COMMAND`: the same as `ksi COMMAND --help`. */
export function register(program: Command): void {
  program
    .command('help')
    .description('Show the help of a command')
    .argument('[command...]', 'the command (default: list all commands)')
    .withExamples('ksi help spawn', 'ksi help dead retry', 'man ksi')
    .action((names: string[]) => {
      let at: Command = program;
      for (const name of names) {
        const found = at.commands.find((each) => each.name() === name || each.aliases().includes(name));
        if (found === undefined) {
          const near = nearest(
            name,
            at.commands.map((each) => each.name()),
          );
          return at.error(
            `error: unknown command '${name}'\n(${near === undefined ? 'See: ksi --help' : `Did you mean ${near}?`})`,
          );
        }
        at = found as Command;
      }
      return at.help();
    });
}
