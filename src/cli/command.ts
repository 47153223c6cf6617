import { Command as Plain, InvalidArgumentError, type Argument, type ErrorOptions, type Option } from 'commander';
import { nearest } from './words.js';

/** Of help off a terminal, as commander has it. */
const USUAL_WIDTH = 80;

/** What a value is one of: what completion looks up, or `files` for the shell's own. */
export type ValueKind =
  'tasks' | 'open tasks' | 'sessions' | 'queues' | 'approvals' | 'dead' | 'conversations' | 'files';

/**
 * A command of `ksi`: commander's, and what help, man page and completion all need of it. A wrong choice is answered with the nearest right one.
 */
export class Command extends Plain {
  #examples: readonly string[] = [];
  #notes: readonly string[] = [];
  #values: Readonly<Record<string, ValueKind>> = {};

  constructor(name?: string) {
    super(name);
    // `ksi help GROUP` says the same.
    this.helpCommand(false);
    this.addHelpText('after', () => this.#after());
    // A group with a default command (`ksi dead` lists) would take a misspelt one for an argument of that.
    this.hook('preSubcommand', (group, chosen) => {
      const [word] = group.args;
      if (word === undefined || word.startsWith('-') || word === chosen.name()) return;
      if (chosen.registeredArguments.length > 0 || chosen.aliases().includes(word)) return;
      const near = nearest(word, namesOf(group));
      const help = `See: ${pathOf(group)} --help`;
      group.error(`error: unknown command '${word}'\n(${near === undefined ? help : `Did you mean ${near}?`})`);
    });
  }

  /** Lines as one would type them, without the `$`. */
  get examples(): readonly string[] {
    return this.#examples;
  }

  /** What else is to be known, a paragraph each. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  withExamples(...lines: string[]): this {
    this.#examples = lines;
    return this;
  }

  withNotes(...paragraphs: string[]): this {
    this.#notes = paragraphs;
    return this;
  }

  /** What completion offers for arguments and options, by their names (`id`, `session`). */
  withValues(values: Readonly<Record<string, ValueKind>>): this {
    this.#values = { ...this.#values, ...values };
    return this;
  }

  valuesOf(name: string): ValueKind | undefined {
    return this.#values[name];
  }

  override createCommand(name?: string): Command {
    return new Command(name);
  }

  override addOption(option: Option): this {
    return super.addOption(suggesting(option));
  }

  override addArgument(argument: Argument): this {
    return super.addArgument(suggesting(argument));
  }

  /** Of a wrong use, which commander found: says where to look. */
  override error(message: string, options?: ErrorOptions): never {
    const next = /Did you mean|See: /.test(message) ? '' : `\n(See: ${pathOf(this)} --help)`;
    return super.error(`${message.replace('command-argument value', 'the value')}${next}`, options);
  }

  #after(): string {
    const examples = this.#examples.map((line) => `  $ ${line}`);
    const help = this.createHelp();
    const width = process.stdout.columns ?? USUAL_WIDTH;
    const notes = this.#notes.map((note) => (note.includes('\n') ? note : help.boxWrap(note, width)));
    const parts = [...notes, examples.length === 0 ? '' : `Examples:\n${examples.join('\n')}`];
    return parts
      .filter((part) => part !== '')
      .map((part) => `\n${part}`)
      .join('\n');
  }
}

/** With its group's, as it is typed. */
export const pathOf = (command: Plain): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;

const namesOf = (group: Plain): string[] => group.commands.flatMap((each) => [each.name(), ...each.aliases()]);

function suggesting<T extends Option | Argument>(each: T): T {
  const { argChoices: choices, parseArg: parse } = each;
  if (choices === undefined || parse === undefined) return each;
  each.parseArg = <V>(value: string, previous: V): V => {
    try {
      return parse.call(each, value, previous) as V;
    } catch (error) {
      const near = nearest(value, choices);
      if (!(error instanceof InvalidArgumentError) || near === undefined) throw error;
      throw new InvalidArgumentError(`${error.message} Did you mean ${near}?`);
    }
  };
  return each;
}
