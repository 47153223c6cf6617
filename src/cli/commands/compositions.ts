import type { KsiClient } from '../../client/client.js';
import type { CompositionListed, CompositionValidation } from '../../../contracts/prompts/compositions.js';
import type { Command } from '../command.js';
import { contextOf, withContext, type ContextOptions as Context } from '../context-options.js';
import { EXIT } from '../exit.js';
import { commaList, type GlobalOptions } from '../options.js';
import { fieldLines } from '../output/fields.js';
import { printLines, printOne, printTable, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { timesFor } from '../output/times.js';
import { defined } from '../../defined.js';

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

/** `ksi compositions` */
export function register(program: Command): void {
  const compositions = program
    .command('compositions')
    .description('List, show, validate and select compositions, and compose prompts')
    .withExamples(
      'ksi compositions',
      'ksi compositions compose conversation_debate --set agent_id=ann --set topic="Tabs or spaces?"',
      'ksi compositions validate reviewer',
      'ksi compositions select --role tester --task "Write tests for the parser"',
    );
  compositions
    .command('list', { isDefault: true })
    .description('List compositions')
    .option('--category <category>', 'only compositions with this category in their metadata: agent, conversation …')
    .withExamples('ksi compositions', 'ksi compositions list --category conversation')
    .calls(list);
  compositions
    .command('show')
    .description('Show a composition, its components and their conditions')
    .argument('<name>', 'its name')
    .withExamples('ksi compositions show conversation_debate', 'ksi compositions show reviewer -o json | jq .metadata')
    .calls(async (client, name: string, options: GlobalOptions) => {
      const { components, ...head } = await client.compositions.get(name);
      const parts = components.map(({ source, condition }) => [source, condition ?? ''] as const);
      const width = Math.max(0, ...parts.map(([source]) => source.length));
      const lines = parts.map(([source, condition]) => `  ${source.padEnd(width)}  ${condition}`.trimEnd());
      const shown = `${fieldLines(head, timesFor(options))}components\n${lines.join('\n')}\n`;
      printOne({ ...head, components }, () => shown, options);
    });
  withContext(compositions.command('compose'))
    .description('Compose and print a prompt')
    .argument('<name>', 'its name')
    .withExamples(
      'ksi compositions compose reviewer --set agent_id=rev',
      'ksi compositions compose mine --context c.json',
    )
    .calls(async (client, name: string, options: ContextOptions) => {
      const composed = await client.compositions.compose(name, contextOf(options));
      printOne(composed, ({ prompt }) => `${prompt}\n`, options);
      for (const key of composed.unresolved) say(options, `{{${key}}} has no value.`);
    });
  withContext(compositions.command('validate'))
    .description('Check a composition, also with a context')
    .argument('<name>', 'its name')
    .withExamples('ksi compositions validate reviewer --set agent_id=rev')
    .calls(validate);
  compositions
    .command('select')
    .description('Print the best matching composition, and why')
    .option('--role <role>', 'the role of the agent')
    .option('--capabilities <list>', 'the capabilities of the agent, comma-separated', commaList)
    .option('--task <text>', 'the task of the agent')
    .withExamples('ksi compositions select --role tester', 'ksi compositions select --task "Review the parser"')
    .calls(select);
  compositions
    .command('components')
    .description('List components')
    .option('--directory <path>', 'only components below this directory')
    .withExamples('ksi compositions components', 'ksi compositions components --directory roles')
    .calls(async (client, { directory, ...options }: ComponentsOptions) =>
      printLines(await client.compositions.components(defined({ directory })).all(), (path) => path, options),
    );
}

async function list(client: KsiClient, { category, ...options }: ListOptions): Promise<void> {
  const found = client.compositions.list(defined({ category }));
  const { broken } = await found;
  printTable(await found.all(), TABLE, options);
  for (const { name, problem } of broken) say(options, `The file of ${name} is not a valid composition: ${problem}`);
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

async function validate(client: KsiClient, name: string, options: ContextOptions): Promise<number> {
  const found = await client.compositions.validate(name, contextOf(options));
  printOne(found, faultsOf, options);
  if (found.valid) say(options, `${name} is valid. Its prompt has ${found.prompt_length ?? 0} characters.`);
  return found.valid ? EXIT.ok : EXIT.failure;
}

const faultsOf = ({ issues = {}, missing_context: missing = [], unresolved = [] }: CompositionValidation): string =>
  [
    ...(issues.composition_errors ?? []),
    ...(issues.missing_components ?? []).map((source) => `Component not found: ${source}`),
    ...(issues.invalid_conditions ?? []).map((condition) => `Condition of ${condition}`),
    ...missing.map((key) => `The context lacks ${key}`),
    ...unresolved.map((key) => `{{${key}}} has no value`),
  ]
    .map((line) => `${line}\n`)
    .join('');

async function select(client: KsiClient, options: SelectOptions): Promise<void> {
  const { role, capabilities, task } = options;
  const chosen = await client.compositions.select(defined({ role, capabilities, task }));
  printOne(chosen, ({ composition }) => `${composition}\n`, options);
  say(options, `Score ${chosen.score}: ${chosen.reasons.join(', ')}.`);
  for (const { composition, score } of chosen.others) say(options, `  then ${composition}, ${score}`);
}
