import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { relative } from 'node:path';
import type { Command } from '../command.js';
import type { ClusterStatus } from '../../cluster/supervisor.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say as tell } from '../output/say.js';
import { runCommand } from '../run.js';

interface Options extends GlobalOptions {
  readonly demo?: true;
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** `ksi up`: starts the cluster and returns when it is ready. */
export function register(program: Command): void {
  program
    .command('up')
    .description('Start nats-server, APIs and workers in the background, and return when they are ready')
    .option('--demo', 'use a built-in stand-in for the Messages API in the place of a model, and try one spawn')
    .withExamples('ksi up', 'KSI_WORKERS=4 KSI_CONCURRENCY=8 ksi up', 'ksi up --demo')
    .action((_options: unknown, command: Command) => runCommand(() => run(command.optsWithGlobals<Options>())));
}

async function run(options: Options): Promise<number> {
  const say = (text: string): void => tell(options, text);
  const { hasClaudeCredentials } = await import('../../cluster/plan.js');
  const { up } = await import('../../cluster/up.js');
  const { readConfig } = await import('../../config/load.js');
  const interrupted = new AbortController();
  const interrupt = (signal: NodeJS.Signals): void => {
    say(`${signal}: stopping what was started`);
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
  const config = readConfig(process.env);
  if (status.demo) say(DEMO);
  else if (!hasClaudeCredentials(process.env, config)) say(NO_CREDENTIALS);
  return demo && options.output === 'text' ? trySpawn(say) : EXIT.ok;
}

const DEMO =
  'This is a demo: the answers come from a small stand-in for the Messages API, not from a model. All else is real, the claude executable too.';
const NO_CREDENTIALS =
  'Warning: nothing says how Claude signs in, so spawns will fail. Set ANTHROPIC_API_KEY (or CLAUDE_CONFIG_DIR to a logged-in configuration) and do `make down up`; or try `make demo`, which needs neither.';

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

/** How a person who started it so calls `ksi`, and stops it: by make and npx in a clone, else by its name. */
function callsOf({ MAKELEVEL: make, npm_command: npm }: NodeJS.ProcessEnv): { ksi: string; stop: string } {
  const ksi = make !== undefined || npm === 'exec' ? 'npx ksi' : 'ksi';
  return { ksi, stop: make === undefined ? `${ksi} down` : 'make down' };
}

/** The newcomer's first spawn, by the same command that we tell people to use. */
async function trySpawn(say: (text: string) => void): Promise<number> {
  const main = process.argv[1];
  if (main === undefined) return EXIT.ok;
  const { ksi, stop } = callsOf(process.env);
  say(`\n$ ${ksi} spawn "Say hello"`);
  const child = spawn(process.execPath, [main, 'spawn', 'Say hello'], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  say(`\nThe cluster goes on running. Stop it with: ${stop}`);
  return code ?? EXIT.failure;
}
