import type { Command } from '../command.js';
import { findConnection } from '../connection.js';
import type { BridgeStats } from '../../bridge/dispatcher.js';
import { CliError, EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { printOne } from '../output/print.js';
import { say } from '../output/say.js';
import { renderTable } from '../output/table.js';

interface Options extends GlobalOptions {
  readonly dir?: string;
  readonly socket?: string;
  readonly upstream?: string;
  readonly forward?: string;
  readonly tools?: string;
}

/** `ksi bridge` */
export function register(program: Command): void {
  const bridge = program
    .command('bridge')
    .description('Serve clients of the legacy daemon: implement its protocol on its Unix socket')
    .option(
      '--dir <folder>',
      'the working folder, where clients find the socket and files (default: KSI_BRIDGE_DIR, or else the current folder)',
    )
    .option('--socket <path>', 'the socket (default: sockets/claude_daemon.sock in --dir)')
    .option('--upstream <path>', 'the socket of a running legacy daemon, for --forward')
    .option(
      '--forward <commands>',
      'commands to forward to it, comma-separated; `all`, or `all,-SPAWN` for all but SPAWN',
    )
    .option('--tools <rules>', 'allowed tools if a client enables tools (default: KSI_BRIDGE_TOOLS)')
    .withValues({ dir: 'files', socket: 'files', upstream: 'files' })
    .withNotes(
      'The bridge runs until Ctrl-C or a client’s SHUTDOWN. `make up BRIDGE=1` runs it as a process of the cluster instead.',
      'Everything that its clients create belongs to the owner of its token. See docs/migration.md.',
    )
    .withExamples(
      'ksi bridge',
      'ksi bridge --dir ~/old-ksi --socket /run/user/1000/ksi.sock',
      'ksi bridge --dir beside --upstream old/sockets/claude_daemon.sock --forward all,-GET_COMPOSITIONS',
    )
    .runs(run);
  bridge
    .command('stats')
    .description('Show how many commands a running bridge has served, here and through the legacy daemon')
    .withExamples('ksi bridge stats', 'ksi bridge stats --dir beside -o json')
    .runs(stats);
  bridge
    .command('ask')
    .description('Send a legacy command to a bridge or legacy daemon, and print the result')
    .argument('<command>', 'such as GET_AGENTS')
    .argument('[parameters]', 'its parameters as JSON')
    .withExamples('ksi bridge ask HEALTH_CHECK', `ksi bridge ask GET_SHARED '{"key": "plan"}' --dir old`)
    .runs(ask);
}

const dirOf = ({ dir }: Options): string => dir ?? process.env['KSI_BRIDGE_DIR'] ?? '.';

async function ask(name: string, parameters: string | undefined, options: Options): Promise<void> {
  const { askLegacy, socketOf } = await import('../../bridge/ask.js');
  const answer = await askLegacy(socketOf(dirOf(options), options.socket), name, parsed(parameters));
  if (answer.status === 'error') throw new CliError(`${answer.error.code}: ${answer.error.message}`);
  printOne(answer.result, (result) => `${JSON.stringify(result, undefined, 2)}\n`, options);
}

function parsed(parameters = '{}'): object {
  try {
    return JSON.parse(parameters) as object;
  } catch (error) {
    throw new CliError(`The parameters are not JSON: ${(error as Error).message}`, EXIT.usage);
  }
}

async function run(options: Options): Promise<void> {
  // Its `--dir` is not KSI_DIR.
  const { dir: _folder, ...connection } = options;
  const { pino } = await import('pino');
  const { listOf, readConfig } = await import('../../config/load.js');
  const { startBridge } = await import('../../bridge/start.js');
  process.umask(0o077);
  const config = readConfig(process.env);
  const bridge = await startBridge({
    connection: findConnection(connection, process.env, process.cwd()),
    dir: dirOf(options),
    socket: options.socket,
    upstream: upstreamOf(options),
    prompts: config.KSI_PROMPTS,
    tools: listOf(options.tools ?? config.KSI_BRIDGE_TOOLS),
    log: pino({ level: config.KSI_LOG_LEVEL, base: { process: 'bridge' } }, pino.destination({ fd: 2, sync: true })),
  });
  say(options, `The bridge listens on ${bridge.socket}`);
  const stop = (): void => void bridge.stop();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  await bridge.ended;
}

function upstreamOf({ upstream, forward }: Options): { path: string; forward: string } | undefined {
  if (upstream === undefined && forward === undefined) return undefined;
  if (upstream === undefined)
    throw new CliError('--forward needs --upstream, the socket of the legacy daemon.', EXIT.usage);
  if (forward === undefined) throw new CliError('--upstream needs --forward, the commands to forward.', EXIT.usage);
  return { path: upstream, forward };
}

async function stats(options: Options): Promise<void> {
  const { askStats, socketOf } = await import('../../bridge/ask.js');
  const told = await askStats(socketOf(dirOf(options), options.socket));
  printOne(told, shown, options);
}

const HEAD = ['COMMAND', 'KSI', 'UPSTREAM', 'FAILED'];

function shown({ started_at, commands, connected_agents, upstream }: BridgeStats): string {
  const rows = Object.entries(commands).map(([name, { ksi, upstream: old }]) => [
    name,
    String(ksi?.served ?? 0),
    String(old?.served ?? 0),
    String((ksi?.failed ?? 0) + (old?.failed ?? 0)),
  ]);
  const head = [
    `since ${started_at}`,
    `agents connected: ${connected_agents.length === 0 ? 'none' : connected_agents.join(', ')}`,
    ...(upstream === undefined ? [] : [`upstream: ${upstream}`]),
  ];
  return `${head.join('\n')}\n${renderTable(HEAD, rows, process.stdout.columns ?? 120)}\n`;
}
