import type { Argument, Option } from 'commander';
import { Command, type ValueKind } from '../command.js';

/** A possible completion. */
export interface Candidate {
  readonly value: string;
  readonly description: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Further values, to be listed from the cluster or by the shell. */
  readonly values: ValueKind | undefined;
}

/**
 * Completes the last word, which may be empty, from the command definitions.
 * @param words the words after `ksi`, up to the cursor. bash passes the `=` of `--output=json` as a separate word.
 */
export function complete(program: Command, words: readonly string[]): Completion {
  const typed = words.filter((word) => word !== '=');
  const last = typed.at(-1) ?? '';
  let command = program;
  let operands = 0;
  let pending: Option | undefined;
  let onlyOperands = false;
  for (const word of typed.slice(0, -1)) {
    if (pending !== undefined) pending = undefined;
    else if (word === '--') onlyOperands = true;
    else if (!onlyOperands && word.startsWith('-')) pending = valueOption(command, word);
    else if (command === program && operands === 0 && word === HELP) continue;
    else {
      const below = operands === 0 ? subcommandOf(command, word) : undefined;
      if (below === undefined) operands += 1;
      else command = below;
    }
  }
  if (pending !== undefined) return valuesOf(command, pending, pending.attributeName(), last);
  if (!onlyOperands && last.startsWith('-')) return optionOrItsValue(command, last);
  // A group also accepts the arguments and options of its default command (`ksi dead --queue …`).
  const names = operands === 0 ? matching(subcommandsOf(command), last) : [];
  const takes = names.length === 0 ? (defaultOf(command) ?? command) : command;
  const argument = takes.registeredArguments[operands] ?? variadic(takes.registeredArguments.at(-1));
  const found = argument === undefined ? NOTHING : valuesOf(takes, argument, argument.name(), last);
  return { candidates: [...names, ...found.candidates], values: found.values };
}

/** The words after `help` are completed as if it were absent. */
const HELP = 'help';

const HELP_OPTION: Candidate = { value: '--help', description: 'show the help, with examples' };

const NOTHING: Completion = { candidates: [], values: undefined };

const variadic = (argument: Argument | undefined): Argument | undefined =>
  argument?.variadic === true ? argument : undefined;

function optionOrItsValue(command: Command, word: string): Completion {
  const [flag = '', value] = word.split(/=(.*)/s, 2);
  const option = value === undefined ? undefined : valueOption(command, flag);
  if (option !== undefined && value !== undefined) {
    const { candidates, values } = valuesOf(command, option, option.attributeName(), value);
    return { candidates: candidates.map((each) => ({ ...each, value: `${flag}=${each.value}` })), values };
  }
  const options = optionsOf(command).map((each) => ({
    value: each.long ?? each.short ?? '',
    description: each.description,
  }));
  return { candidates: matching([...options, HELP_OPTION], word), values: undefined };
}

function valuesOf(command: Command, of: Option | Argument, name: string, word: string): Completion {
  const choices = of.argChoices?.map((value) => ({ value, description: '' })) ?? [];
  const holder = [command, defaultOf(command)].find((each) => each?.valuesOf(name) !== undefined);
  return { candidates: matching(choices, word), values: holder?.valuesOf(name) };
}

const matching = (candidates: readonly Candidate[], word: string): Candidate[] =>
  candidates.filter(({ value }) => value.startsWith(word));

/** The option named by a word, if the next word is its value. */
function valueOption(command: Command, word: string): Option | undefined {
  const option = optionsOf(command).find(({ long, short }) => word === long || word === short);
  return option?.required === true ? option : undefined;
}

/** The options of a command, of its default command and of its parents. */
function optionsOf(command: Command): Option[] {
  const own = [...command.options, ...(defaultOf(command)?.options ?? [])].filter(({ hidden }) => !hidden);
  const above = command.parent;
  return above instanceof Command ? [...own, ...optionsOf(above)] : own;
}

const subcommandsOf = (command: Command): Candidate[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .map((each) => ({ value: each.name(), description: each.description() }));

const subcommandOf = (command: Command, name: string): Command | undefined =>
  commandsOf(command).find((each) => each.name() === name || each.aliases().includes(name));

/** The default command of a group, which is always `list`. */
const defaultOf = (command: Command): Command | undefined => subcommandOf(command, 'list');

const commandsOf = (command: Command): Command[] =>
  command.commands.filter((each): each is Command => each instanceof Command);
