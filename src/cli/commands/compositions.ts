import type { CompositionListed, CompositionValidation } from '../../../contracts/prompts/compositions.js';
import { clientOf } from '../client.js';
import type { Command } from '../command.js';
import { contextOf, withContext, type ContextOptions as Context } from '../context-options.js';
import { EXIT } from '../exit.js';
import { commaList, type GlobalOptions } from '../options.js';
import { factLines } from '../output/facts.js';
import { printLines, printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor } from '../output/times.js';
import { runCommand } from '../run.js';

interface ListOptions extends GlobalOptions {
  readonly category?: string;
}
interface ContextOptions extends GlobalOptions, Context {}
interface SelectOptions extends GlobalOptions {
  readonly role?: string;
  readonly capabilities?: string[];
  readonly task?: string;
}
interface ComponentsOptions extends GlobalOptions {
  readonly directory?: string;
}

/** `ksi compositions`: what prompts are composed of. */
export function register(program: Command): void {
  const compositions = program
    .command('compositions')
    .description('List, show, check and choose compositions, and compose prompts with them')
    .withExamples(
      'ksi compositions',
      'ksi compositions compose conversation_debate --set agent_id=ann --set topic="Tabs or spaces?"',
      'ksi compositions validate reviewer',
      'ksi compositions select --role tester --task "Write tests for the parser"',
    );
  compositions
    .command('list', { isDefault: true })
    .description('List them')
    .option('--category <category>', 'those whose metadata has it: agent, conversation …')
    .withExamples('ksi compositions', 'ksi compositions list --category conversation')
    .action((_options: unknown, command: Command) => runCommand(() => list(command.optsWithGlobals<ListOptions>())));
  compositions
    .command('show')
    .description('Show one, with its components and their conditions')
    .argument('<name>', 'its name')
    .withExamples('ksi compositions show conversation_debate', 'ksi compositions show reviewer -o json | jq .metadata')
    .action((name: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<GlobalOptions>();
        const { components, ...head } = await clientOf(options).compositions.get(name);
        const parts = components.map(({ source, condition }) => [source, condition ?? ''] as const);
        const width = Math.max(0, ...parts.map(([source]) => source.length));
        const lines = parts.map(([source, condition]) => `  ${source.padEnd(width)}  ${condition}`.trimEnd());
        const shown = `${factLines(head, timesFor(options))}components\n${lines.join('\n')}\n`;
        printOne({ ...head, components }, () => shown, options);
        return EXIT.ok;
      }),
    );
  withContext(compositions.command('compose'))
    .description('Print the prompt that it makes')
    .argument('<name>', 'its name')
    .withExamples(
      'ksi compositions compose reviewer --set agent_id=rev',
      'ksi compositions compose mine --context c.json',
    )
    .action((name: string, _options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<ContextOptions>();
        const composed = await clientOf(options).compositions.compose(name, contextOf(options));
        printOne(composed, ({ prompt }) => `${prompt}\n`, options);
        for (const key of composed.unresolved) say(options, `Nothing is known for {{${key}}}.`);
        return EXIT.ok;
      }),
    );
  withContext(compositions.command('validate'))
    .description('Say what is wrong with it, or would be with this context')
    .argument('<name>', 'its name')
    .withExamples('ksi compositions validate reviewer --set agent_id=rev')
    .action((name: string, _options: unknown, command: Command) =>
      runCommand(() => validate(name, command.optsWithGlobals<ContextOptions>())),
    );
  compositions
    .command('select')
    .description('Say which one fits best, and why')
    .option('--role <role>', 'of the agent')
    .option('--capabilities <list>', 'of the agent, by comma', commaList)
    .option('--task <text>', 'what it is to do')
    .withExamples('ksi compositions select --role tester', 'ksi compositions select --task "Review the parser"')
    .action((_options: unknown, command: Command) =>
      runCommand(() => select(command.optsWithGlobals<SelectOptions>())),
    );
  compositions
    .command('components')
    .description('List the components that there are')
    .option('--directory <path>', 'those in it or below')
    .withExamples('ksi compositions components', 'ksi compositions components --directory roles')
    .action((_options: unknown, command: Command) =>
      runCommand(async () => {
        const options = command.optsWithGlobals<ComponentsOptions>();
        const { directory } = options;
        const query = directory === undefined ? {} : { directory };
        printLines(await clientOf(options).compositions.components(query).all(), (path) => path, options);
        return EXIT.ok;
      }),
    );
}

async function list(options: ListOptions): Promise<number> {
  const { category } = options;
  const query = category === undefined ? {} : { category };
  const found = clientOf(options).compositions.list(query);
  const { broken } = await found;
  printTable(await found.all(), TABLE, options);
  for (const { name, problem } of broken) say(options, `The file of ${name} is no composition: ${problem}`);
  return EXIT.ok;
}

const TABLE: TableOf<CompositionListed> = {
  head: ['COMPOSITION', 'FROM', 'CATEGORY', 'NEEDS', 'DESCRIPTION'],
  row: ({ name, origin, metadata, required_context: needs, description }) => [
    name,
    origin,
    typeof metadata['category'] === 'string' ? metadata['category'] : '',
    Object.keys(needs).join(','),
    description,
  ],
};

async function validate(name: string, options: ContextOptions): Promise<number> {
  const found = await clientOf(options).compositions.validate(name, contextOf(options));
  printOne(found, faultsOf, options);
  if (found.valid) say(options, `${name} is fine: a prompt of ${found.prompt_length ?? 0} characters.`);
  return found.valid ? EXIT.ok : EXIT.failure;
}

const faultsOf = ({ issues = {}, missing_context: missing = [], unresolved = [] }: CompositionValidation): string =>
  [
    ...(issues.composition_errors ?? []),
    ...(issues.missing_components ?? []).map((source) => `There is no ${source}`),
    ...(issues.invalid_conditions ?? []).map((condition) => `Condition of ${condition}`),
    ...missing.map((key) => `The context lacks ${key}`),
    ...unresolved.map((key) => `Nothing is known for {{${key}}}`),
  ]
    .map((line) => `${line}\n`)
    .join('');

async function select(options: SelectOptions): Promise<number> {
  const { role, capabilities, task } = options;
  const chosen = await clientOf(options).compositions.select({
    ...(role === undefined ? {} : { role }),
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(task === undefined ? {} : { task }),
  });
  printOne(chosen, ({ composition }) => `${composition}\n`, options);
  say(options, `Score ${chosen.score}: ${chosen.reasons.join(', ')}.`);
  for (const { composition, score } of chosen.others) say(options, `  then ${composition}, ${score}`);
  return EXIT.ok;
}
