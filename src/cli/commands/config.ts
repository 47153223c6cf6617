import type { Command } from '../command.js';
import { locate, type Found } from '../connection.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { paint } from '../output/colour.js';
import { tableOf, type TableOf } from '../output/print.js';
import { say } from '../output/say.js';
import { nearest } from '../words.js';
import { withoutPassword } from '../../without-password.js';
import { jsonLine } from '../output/printable.js';

interface Options extends GlobalOptions {
  readonly changed?: true;
}

interface Setting {
  readonly name: string;
  /** Absent: the setting has no value. */
  readonly value?: string | number;
  readonly from: 'environment' | 'default';
}

/** `ksi config` */
export function register(program: Command): void {
  program
    .command('config')
    .description('Show the effective configuration, the origin of each value, and any faults')
    .option('--changed', 'show only settings that differ from the default')
    .withNotes(
      `These are the settings with which \`ksi up\` would start a cluster from this shell. A running cluster keeps the settings that it was started with. Secrets are not shown. The exit code is ${EXIT.usage} if a setting is invalid.`,
    )
    .withExamples('ksi config', 'ksi config --changed', "ksi config -o json | jq -r '.connection.url.value'")
    .runs(show);
}

async function show(options: Options): Promise<number> {
  const { examineConfig } = await import('../../config/load.js');
  const { SIGN_INS } = await import('../../cluster/plan.js');
  const { env } = process;
  const { url, token, folder } = locate(options, env, process.cwd());
  const { values, set, faults } = examineConfig(env);
  const known = await knownNames();
  const settings: Setting[] = known
    .map((name) => ({ name, from: set.has(name) ? ('environment' as const) : ('default' as const) }))
    .map((each) => (each.name in values ? { ...each, value: shownValue(values[each.name]) } : each))
    .filter(({ from }) => options.changed !== true || from === 'environment');
  const shown = {
    connection: {
      url: url === undefined ? null : { ...url, value: withoutPassword(url.value) },
      token: token === undefined ? null : { from: token.from },
      folder: folder ?? null,
    },
    claude_signs_in_by: SIGN_INS.filter((name) => (env[name] ?? '') !== ''),
    settings,
    faults: [...faults, ...strangers(env, [...known, ...CLIENT])],
  };
  if (options.output === 'text') describe(shown, { url, token }, options);
  else if (options.output !== 'none') process.stdout.write(jsonLine(shown));
  return shown.faults.length === 0 ? EXIT.ok : EXIT.usage;
}

/** Variables for clients only. */
const CLIENT = ['KSI_URL', 'KSI_TOKEN'];

async function knownNames(): Promise<string[]> {
  const { Config } = await import('../../../contracts/config/config.js');
  return Object.keys(Config.properties);
}

interface Shown {
  readonly claude_signs_in_by: readonly string[];
  readonly settings: readonly Setting[];
  readonly faults: readonly string[];
}

function describe(
  { claude_signs_in_by: signs, settings, faults }: Shown,
  { url, token }: { readonly url: Found | undefined; readonly token: Found | undefined },
  options: Options,
): void {
  const nothing = 'unknown: start a cluster with `ksi up`, or set KSI_URL and KSI_TOKEN';
  const rows = [
    ['API', url === undefined ? nothing : withoutPassword(url.value), url?.from ?? ''],
    ['token', token === undefined ? 'none' : 'present', token?.from ?? ''],
    ['Claude signs in by', signs.length === 0 ? 'no variable of this shell' : signs.join(', '), ''],
  ];
  process.stdout.write(`${tableOf(rows, { head: ['WHAT', 'IS', 'FROM'], row: (cells) => cells })}\n`);
  if (settings.length > 0) process.stdout.write(`\n${tableOf(settings, SETTINGS)}\n`);
  if (faults.length === 0) return say(options, '\nThe configuration is valid.');
  const text = ['Faults:', ...faults.map((fault) => `  ${fault}`)].join('\n');
  process.stderr.write(`\n${paint('red', text, process.stderr)}\n`);
}

const SETTINGS: TableOf<Setting> = {
  head: ['SETTING', 'FROM', 'VALUE'],
  row: ({ name, from, value }) => (value === undefined ? [name, '', ''] : [name, from, String(value)]),
};

/** Unknown KSI_ variables that are close to a known one: probably misspelt, and without effect. */
function strangers(env: NodeJS.ProcessEnv, known: readonly string[]): string[] {
  const unknown = Object.keys(env).filter((name) => name.startsWith('KSI_') && !known.includes(name));
  return unknown.flatMap((name) => {
    const near = nearest(name, known);
    return near === undefined ? [] : [`${name} is unknown. Did you mean ${near}?`];
  });
}

const shownValue = (value: unknown): string | number =>
  typeof value === 'number' ? value : withoutPassword(typeof value === 'string' ? value : JSON.stringify(value));
