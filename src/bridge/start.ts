import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { LEGACY_SOCKET } from '../../contracts/bridge/legacy.js';
import { KsiApi } from '../client/api.js';
import { HttpTransport, type KsiClientOptions } from '../client/http.js';
import { NodePlatform } from '../client/platform/node.js';
import { lockFolder } from '../process/folder-lock.js';
import { identify } from '../process/identity.js';
import { BridgeAgents } from './agents.js';
import { announcer } from './process-complete.js';
import { ClientLink } from './client-link.js';
import { Counters } from './counters.js';
import { Dispatcher } from './dispatcher.js';
import { BridgeError } from './errors.js';
import { ConnectionJournal } from './files/connection-journal.js';
import { MessageLog } from './files/message-log.js';
import { removePid, writePid } from './files/pid-file.js';
import { RunJournal } from './files/run-journal.js';
import { SessionLog } from './files/session-log.js';
import { makeWorkDir, workDir } from './files/work-dir.js';
import type { BridgeContext } from './handlers/handler.js';
import { MirroredFiles } from './mirrored-files.js';
import { LineMemoryLimit, LineReader } from './lines.js';
import { SocketListener } from './listener.js';
import { EventFollower } from './event-follower.js';
import { AgentDirectory } from './agent-directory.js';
import { PatientTransport } from './patient-transport.js';
import { Runs } from './runs.js';
import { forwarded, strays, Upstream } from './upstream.js';
import { systemClock, timestampOf } from '../clock.js';

/** Enough for a prompt of 4,000,000 characters, even if each is escaped. */
const MAX_LINE_BYTES = 64 << 20;
/** For incomplete lines of all clients together. */
const MAX_UNFINISHED_BYTES = 256 << 20;
const CLOSE_TIMEOUT_MS = 2_000;
const LEAVE_TIMEOUT_MS = 5_000;
const STATS_EVERY_MS = 10 * 60_000;

const TAKEN =
  'another process replaced or removed the socket, and the bridge has taken it back; if an old daemon runs, end it and move its daemon.py away';

export interface BridgeOptions {
  /** The cluster, and the token. Its owner owns everything that clients create. */
  readonly connection: KsiClientOptions;
  /** The old daemon's working folder, or one like it. */
  readonly dir: string;
  /** Default: `sockets/claude_daemon.sock` in `dir`. */
  readonly socket?: string | undefined;
  readonly upstream?: { readonly path: string; readonly forward: string } | undefined;
  /** KSI's folder of prompts (KSI_PROMPTS), if this machine has it. */
  readonly prompts: string | undefined;
  /** The tool rules that clients can enable. */
  readonly tools: readonly string[];
  readonly log: Logger;
}

export interface Bridge {
  readonly socket: string;
  /** Resolves when the bridge has ended, after `stop` or a client's SHUTDOWN. */
  readonly ended: Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Starts the bridge. Resolves when it listens for clients. @throws {BridgeError} */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { log, tools } = options;
  const dir = workDir(resolve(options.dir));
  const socket = resolve(options.socket ?? join(dir.root, LEGACY_SOCKET));
  const upstream = upstreamOf(options, socket);
  await makeWorkDir(dir);
  claim(dir.own);
  const ksi = new PatientTransport(new HttpTransport(options.connection, new NodePlatform()));
  const client = new KsiApi(ksi);
  const counters = new Counters();
  const directory = new AgentDirectory(ksi);
  const agents = new BridgeAgents({
    connection: options.connection,
    directory,
    journal: new ConnectionJournal(dir),
    log,
  });
  const messageLog = new MessageLog(dir);
  const keptFiles = new MirroredFiles({ ksi, dir, prompts: options.prompts, log });
  const spawned = new Map<string, string>();
  const observer = new EventFollower({ client, messageLog, agents, directory, spawned, log });
  const runs = new Runs({
    client,
    tools,
    journal: new RunJournal(dir),
    sessionLog: new SessionLog(dir),
    announce: announcer(ksi, directory, log),
    log,
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= stopAll());
  const context: BridgeContext = {
    ksi,
    client,
    agents,
    directory,
    runs,
    messageLog,
    spawned,
    dir,
    socket,
    counters,
    startedAt: timestampOf(systemClock),
    began: performance.now(),
    log,
    mirror: () => keptFiles.update(),
    reread: () => keptFiles.reread(),
    changedProfile: (name) => keptFiles.changedProfile(name),
    shutDown: () =>
      void stop().catch((error: unknown) => log.error({ err: error }, 'the bridge could not stop cleanly')),
  };
  const dispatcher = new Dispatcher(context, upstream);
  const memory = new LineMemoryLimit(MAX_UNFINISHED_BYTES);
  const links = new Set<ClientLink>();
  const listener = await SocketListener.open({
    path: socket,
    onConnection: (connection) => {
      const link = new ClientLink(connection, new LineReader(MAX_LINE_BYTES, memory), dispatcher);
      links.add(link);
      connection.once('close', () => links.delete(link));
    },
    onTakenBack: async () => {
      log.error({ socket }, TAKEN);
      await writePid(dir);
    },
    onFailure: (error) => log.error({ err: error, socket }, 'could not take the socket back; retrying'),
  });
  agents.recover();
  await writePid(dir);
  const stats = setInterval(() => log.info({ stats: counters.line() }, 'commands served so far'), STATS_EVERY_MS);
  stats.unref();
  let ended: () => void = () => undefined;
  const whenEnded = new Promise<void>((resolve) => (ended = resolve));
  const stopAll = async (): Promise<void> => {
    clearInterval(stats);
    const closed = listener.close();
    // If KSI is away, the next bridge ends the subscriptions.
    await Promise.race([agents.stop(), sleep(LEAVE_TIMEOUT_MS, undefined, { ref: false })]);
    await runs.stop();
    await observer.stop();
    await keptFiles.stop();
    for (const link of links) link.close();
    // A client that does not read must not delay the end.
    const forced = setTimeout(() => links.forEach((link) => link.destroy()), CLOSE_TIMEOUT_MS);
    await closed;
    clearTimeout(forced);
    await client.close();
    await removePid(dir);
    log.info({ stats: counters.line() }, 'the bridge has stopped');
    ended();
  };
  keptFiles.start();
  await observer.start();
  await runs.resume();
  log.info(
    { socket, dir: dir.root, ...(upstream === undefined ? {} : { upstream: upstream.path }) },
    'the bridge listens',
  );
  return { socket, ended: whenEnded, stop };
}

function upstreamOf({ upstream, log }: BridgeOptions, socket: string): Upstream | undefined {
  if (upstream === undefined) return undefined;
  const path = resolve(upstream.path);
  if (path === socket)
    throw new BridgeError(
      `--upstream and --socket are both ${path}, so the bridge would connect to itself. Use another --socket.`,
    );
  const choice = forwarded(upstream.forward);
  const commands = strays(choice);
  if (commands.length > 0)
    log.warn(
      { commands },
      'AGENT_CONNECTION and these commands of the message bus go to different sides, so messages will be missed; forward all of them, or none',
    );
  return new Upstream(path, choice);
}

/** Locks the folder: two bridges that write the same logs would write every line twice. */
function claim(folder: string): void {
  const me = identify(process.pid);
  if (me === undefined)
    throw new BridgeError('The bridge cannot run on this system, because it does not report when a process started.');
  const holder = lockFolder(join(folder, 'bridge.claim'), me);
  if (holder !== undefined)
    throw new BridgeError(`Another bridge (process ${holder.pid}) uses this folder. End it, or use another --dir.`);
}
