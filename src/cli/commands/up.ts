import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { relative } from 'node:path';
import type { Command } from '../command.js';
import type { ClusterStatus } from '../../cluster/supervisor.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say as tell } from '../output/say.js';

interface Options extends GlobalOptions {
  readonly demo?: true;
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** `ksi up` */
export function register(program: Command): void {
  program
    .command('up')
    .description('Start nats-server, APIs and workers in the background, and return when they are ready')
    .option('--demo', 'use a built-in stand-in for the Messages API instead of a model, and run one task')
    .withExamples('ksi up', 'KSI_WORKERS=4 KSI_CONCURRENCY=8 ksi up', 'ksi up --demo')
    .runs(run);
}

async function run(options: Options): Promise<number> {
  const say = (text: string): void => tell(options, text);
  const { up } = await import('../../cluster/up.js');
  const interrupted = new AbortController();
  const interrupt = (signal: NodeJS.Signals): void => {
    say(`${signal}: stopping the started processes`);
    interrupted.abort(new Error('interrupted'));
  };
  for (const name of SIGNALS) process.once(name, interrupt);
  const demo = options.demo === true;
  let result;
  try {
    result = await up({ env: process.env, demo, progress: say, signal: interrupted.signal });
  } catch (error) {
    if (interrupted.signal.aborted) return EXIT.interrupted;
    throw error;
  } finally {
    for (const name of SIGNALS) process.removeListener(name, interrupt);
  }
  const { status, started } = result;
  printOne(status, (each) => `${described(each, started)}\n`, options);
  if (status.demo) say(DEMO);
  else if (Object.keys(status.claude_credentials).length === 0) say(NO_CREDENTIALS);
  return demo && options.output === 'text' ? trySpawn(say) : EXIT.ok;
}

const DEMO =
  'This is a demo: the answers come from a stand-in for the Messages API, not from a model. Everything else is real, including the claude executable.';
const NO_CREDENTIALS =
  'Warning: Claude has no credentials, so tasks will fail. Set ANTHROPIC_API_KEY, or CLAUDE_CONFIG_DIR to a logged-in configuration, then run `make restart`. `make demo` needs neither.';

function described(status: ClusterStatus, started: boolean): string {
  const { endpoints } = status;
  const { ksi, stop } = callsOf(process.env);
  const short = (path: string): string => {
    const below = relative(process.cwd(), path);
    return below.startsWith('..') ? path : below || '.';
  };
  const { observer, operator } = endpoints.nats.credentials;
  const rows = [
    ...endpoints.apis.map(({ name, url }) => [name, `${url}   (docs at ${url}/docs)`]),
    ['events', endpoints.ws],
    ['NATS', endpoints.nats.url],
    ['token', short(endpoints.token_file)],
    ...(observer === undefined
      ? []
      : [['NATS, read', `${short(observer)}   (nkey seed; inbox prefix _INBOX_observer)`]]),
    ...(operator === undefined
      ? []
      : [['NATS, ask', `${short(operator)}   (nkey seed; inbox prefix _INBOX_operator)`]]),
    ...(endpoints.bridge === undefined ? [] : [['bridge', short(endpoints.bridge)]]),
    ['logs', short(endpoints.logs)],
  ];
  const workers = status.processes.filter(({ role }) => role === 'worker').length;
  const head = `KSI is ${started ? 'up' : 'up already'}: ${endpoints.apis.length} API${endpoints.apis.length === 1 ? '' : 's'}, ${workers} worker${workers === 1 ? '' : 's'}`;
  const table = rows.map(([name = '', value = '']) => `  ${name.padEnd(11)} ${value}`);
  return [head, ...table, '', `Try: ${ksi} spawn "Say hello", or talk: ${ksi} chat`, `Stop: ${stop}`].join('\n');
}

/** The user's commands: with make and npx in a clone, else `ksi`. */
function callsOf({ MAKELEVEL: make, npm_command: npm }: NodeJS.ProcessEnv): { ksi: string; stop: string } {
  const ksi = make !== undefined || npm === 'exec' ? 'npx ksi' : 'ksi';
  return { ksi, stop: make === undefined ? `${ksi} down` : 'make down' };
}

/** Runs the first task with the command that the text above recommends. */
async function trySpawn(say: (text: string) => void): Promise<number> {
  const main = process.argv[1];
  if (main === undefined) return EXIT.ok;
  const { ksi, stop } = callsOf(process.env);
  say(`\n$ ${ksi} spawn "Say hello"`);
  const child = spawn(process.execPath, [main, 'spawn', 'Say hello'], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  say(`\nThe cluster is still running. Stop it with: ${stop}`);
  return code ?? EXIT.failure;
}
