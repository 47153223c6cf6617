import { connect, type Socket } from 'node:net';
import {
  isLegacyCommand,
  LEGACY_COMMAND_NAMES,
  LEGACY_COMMANDS,
  type LegacyCommand,
} from '../../contracts/bridge/legacy.js';
import type { ClientLink } from './client-link.js';
import { BridgeError, LegacyError } from './errors.js';

/** What must not go to the old daemon just because all does. */
const NAMED_ONLY: readonly LegacyCommand[] = ['SHUTDOWN', 'RELOAD_DAEMON'];

/**
 * Which commands go to the old daemon. @param choice `SPAWN,GET_AGENTS`; `all` (but those that end or restart the daemon); `all,-SPAWN`.
 * @throws {BridgeError}
 */
export function forwarded(choice: string): ReadonlySet<string> {
  const chosen = new Set<string>();
  for (const item of choice.split(',').map((part) => part.trim())) {
    const name = item.replace(/^-/, '');
    if (item === '') continue;
    if (item === 'all') for (const each of LEGACY_COMMAND_NAMES) if (!NAMED_ONLY.includes(each)) chosen.add(each);
    if (item === 'all') continue;
    if (!isLegacyCommand(name))
      throw new BridgeError(`--forward: ${JSON.stringify(name)} is no command. There are all, ${LEGACY_COMMAND_NAMES.join(', ')}.`); // prettier-ignore
    if (item.startsWith('-')) chosen.delete(name);
    else chosen.add(name);
  }
  return chosen;
}

/** The commands of the message bus that are served at another place than AGENT_CONNECTION: an agent would be connected where nobody publishes. */
export function strays(choice: ReadonlySet<string>): string[] {
  const bus = LEGACY_COMMAND_NAMES.filter((name) => LEGACY_COMMANDS[name].type === 'message_bus');
  const where = choice.has('AGENT_CONNECTION');
  return bus.filter((name) => choice.has(name) !== where);
}

const NEWLINE = 0x0a;
const END_OF_LINE = Buffer.from([NEWLINE]);

/** The old daemon's socket. */
export class Upstream {
  readonly path: string;
  readonly #choice: ReadonlySet<string>;
  readonly #kept = new WeakMap<ClientLink, Socket>();

  constructor(path: string, choice: ReadonlySet<string>) {
    this.path = path;
    this.#choice = choice;
  }

  serves(command: string | undefined): boolean {
    return command !== undefined && this.#choice.has(command);
  }

  /** Whether an agent is connected to the old daemon over this connection. */
  keeps(link: ClientLink): boolean {
    return this.#kept.get(link)?.writable === true;
  }

  /**
   * Passes a line on as it is, and its answer back, however long that takes.
   * @param options.keep it connects an agent: the client's connection and one to the daemon are one from then on.
   * @returns whether the daemon answered with an error. @throws {LegacyError} it did not answer.
   */
  async pass(line: Buffer, link: ClientLink, options: { command: LegacyCommand; keep: boolean }): Promise<boolean> {
    const { command, keep } = options;
    const kept = this.#kept.get(link);
    if (kept?.writable === true) {
      // Its answer comes back among what is pushed.
      kept.write(Buffer.concat([line, END_OF_LINE]));
      return false;
    }
    const socket = await this.#connect(command);
    socket.write(Buffer.concat([line, END_OF_LINE]));
    const answer = await this.#firstLine(socket, command);
    await link.send(answer);
    if (keep) this.#keep(socket, link);
    else socket.destroy();
    return isError(answer);
  }

  /** What the daemon says goes to the client, as fast as that reads. */
  #keep(socket: Socket, link: ClientLink): void {
    this.#kept.set(link, socket);
    link.onGone(() => socket.destroy());
    socket.on('data', (part) => {
      socket.pause();
      void link.send(part).then((there) => (there ? socket.resume() : socket.destroy()));
    });
    socket.on('close', () => link.close());
    socket.resume();
    if (socket.destroyed) link.close();
  }

  #connect(command: LegacyCommand): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.path);
      socket.once('connect', () => resolve(socket));
      // After that an error is followed by `close`, which is what counts.
      socket.on('error', (error) => reject(this.#noAnswer(command, error)));
    });
  }

  /** With its end, and what came with it. Leaves the socket paused. */
  #firstLine(socket: Socket, command: LegacyCommand): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      const take = (part: Buffer): void => {
        parts.push(part);
        if (part.includes(NEWLINE)) done();
      };
      const done = (): void => {
        socket.off('data', take).off('close', done).off('end', done).pause();
        if (parts.length > 0) resolve(Buffer.concat(parts));
        else reject(this.#noAnswer(command));
      };
      socket.on('data', take).on('close', done).on('end', done);
    });
  }

  #noAnswer(command: LegacyCommand, cause?: Error): LegacyError {
    const why = cause === undefined ? 'it closed the connection' : cause.message;
    return new LegacyError(
      `${command}_FAILED`,
      `The old daemon at ${this.path}, to which ${command} goes, gave no answer: ${why}. Start it again, or take ${command} out of --forward.`,
      cause,
    );
  }
}

/** An answer that can't be read is none of ours to judge. */
function isError(answer: Buffer): boolean {
  try {
    const { status } = JSON.parse(answer.toString('utf8').split('\n', 1)[0] ?? '') as { status?: unknown };
    return status === 'error';
  } catch {
    return false;
  }
}
