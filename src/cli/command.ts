import { Command as Plain, InvalidArgumentError, type Argument, type ErrorOptions, type Option } from 'commander';
import type { KsiClient } from '../client/client.js';
import { isPrefix, LAST } from './ids.js';
import { runCommand } from './run.js';
import { nearest } from './words.js';

/** The width of help without a terminal: commander's default. */
const USUAL_WIDTH = 80;

/** The kind of a value, for completion. `files` uses the shell's own completion. */
export type ValueKind =
  'tasks' | 'open tasks' | 'sessions' | 'queues' | 'approvals' | 'dead' | 'conversations' | 'files';

/** A commander command with examples, notes and value kinds for help, man page and completion. It suggests the nearest match for an invalid choice. */
export class Command extends Plain {
  #examples: readonly string[] = [];
  #notes: readonly string[] = [];
  #values: Readonly<Record<string, ValueKind>> = {};

  constructor(name?: string) {
    super(name);
    // `ksi help GROUP` replaces it.
    this.helpCommand(false);
    this.addHelpText('after', () => this.#after());
    // A group with a default command, such as `ksi dead`, would pass a misspelt subcommand to it as an argument.
    this.hook('preSubcommand', (group, chosen) => {
      const [word] = group.args;
      if (word === undefined || word.startsWith('-') || word === chosen.name()) return;
      if (chosen.registeredArguments.length > 0 || chosen.aliases().includes(word)) return;
      const near = nearest(word, namesOf(group));
      const help = `See: ${pathOf(group)} --help`;
      group.error(`error: unknown command '${word}'\n(${near === undefined ? help : `Did you mean ${near}?`})`);
    });
  }

  /** Command lines, without `$`. */
  get examples(): readonly string[] {
    return this.#examples;
  }

  /** Further paragraphs of the help. */
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

  /** The kinds of values of arguments and options, by their names (`id`, `session`). */
  withValues(values: Readonly<Record<string, ValueKind>>): this {
    this.#values = { ...this.#values, ...values };
    return this;
  }

  valuesOf(name: string): ValueKind | undefined {
    return this.#values[name];
  }

  /** Runs `run` with the arguments and all options, including global ones. Its result is the exit code, if it has one. A failure is reported on stderr. */
  runs(run: (...parameters: never[]) => Promise<number | void>): this {
    // commander appends the options and the command to the arguments.
    return this.action((...passed: unknown[]) =>
      runCommand(async () => {
        const args = await Promise.all(passed.slice(0, -2).map((value, at) => this.#withWholeIds(value, at)));
        return run(...([...args, this.optsWithGlobals()] as never[]));
      }),
    );
  }

  /** Runs `run` in the same way, with a client before the arguments. The client is closed afterwards. */
  calls(run: (client: KsiClient, ...parameters: never[]) => Promise<number | void>): this {
    return this.runs(async (...parameters: never[]) => {
      // A run of `ksi` without a request, such as help, need not load the client.
      const { clientOf } = await import('./client.js');
      await using client = clientOf(this.optsWithGlobals());
      return await run(client, ...parameters);
    });
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

  /** Reports invalid usage, and refers to the help. */
  override error(message: string, options?: ErrorOptions): never {
    const next = /Did you mean|See: /.test(message) ? '' : `\n(See: ${pathOf(this)} --help)`;
    return super.error(`${message.replace('command-argument value', 'the value')}${next}`, options);
  }

  /** Completes prefixes of ids, and `last`, in an argument that `withValues` declares to be an id or a list of ids. */
  async #withWholeIds(value: unknown, at: number): Promise<unknown> {
    const kind = this.valuesOf(this.registeredArguments[at]?.name() ?? '');
    if (kind === undefined) return value;
    const resolve = async (text: unknown): Promise<unknown> => {
      if (typeof text !== 'string' || (text !== LAST && !isPrefix(text))) return text;
      // It loads the client.
      const { resolveId } = await import('./resolve-ids.js');
      return resolveId(kind, text, this.optsWithGlobals());
    };
    return Array.isArray(value) ? Promise.all(value.map(resolve)) : resolve(value);
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

/** The full command, including its groups, as it is typed. */
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
