import { connect, type Socket } from 'node:net';
import {
  isLegacyCommand,
  LEGACY_COMMAND_NAMES,
  LEGACY_COMMANDS,
  type LegacyCommand,
} from '../../contracts/bridge/legacy.js';
import type { ClientLink } from './client-link.js';
import { BridgeError, LegacyError } from './errors.js';

/** Commands that `all` does not include: they end or restart the daemon. */
const NAMED_ONLY: readonly LegacyCommand[] = ['SHUTDOWN', 'RELOAD_DAEMON'];

/**
 * The commands that go to the old daemon.
 * @param choice such as `SPAWN,GET_AGENTS`, `all` (except those that end or restart the daemon) or `all,-SPAWN`
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
      throw new BridgeError(`--forward: ${JSON.stringify(name)} is not a command. Use all, ${LEGACY_COMMAND_NAMES.join(', ')}.`); // prettier-ignore
    if (item.startsWith('-')) chosen.delete(name);
    else chosen.add(name);
  }
  return chosen;
}

/** The message-bus commands that are served by another side than AGENT_CONNECTION. An agent would connect where no messages are published. */
export function strays(choice: ReadonlySet<string>): string[] {
  const bus = LEGACY_COMMAND_NAMES.filter((name) => LEGACY_COMMANDS[name].type === 'message_bus');
  const where = choice.has('AGENT_CONNECTION');
  return bus.filter((name) => choice.has(name) !== where);
}

const NEWLINE = 0x0a;
const END_OF_LINE = Buffer.from([NEWLINE]);

/** A client of the old daemon. */
export class Upstream {
  readonly path: string;
  readonly #choice: ReadonlySet<string>;
  readonly #sockets = new WeakMap<ClientLink, Socket>();

  constructor(path: string, choice: ReadonlySet<string>) {
    this.path = path;
    this.#choice = choice;
  }

  serves(command: string | undefined): boolean {
    return command !== undefined && this.#choice.has(command);
  }

  /** Whether an agent is connected to the old daemon over `link`. */
  keeps(link: ClientLink): boolean {
    return this.#sockets.get(link)?.writable === true;
  }

  /**
   * Forwards a line unchanged, and sends the answer back, without a time limit.
   * @param options.keep the line connects an agent, so everything that the daemon sends from then on goes to `link`
   * @returns whether the daemon answered with an error
   * @throws {LegacyError} if the daemon does not answer
   */
  async pass(line: Buffer, link: ClientLink, options: { command: LegacyCommand; keep: boolean }): Promise<boolean> {
    const { command, keep } = options;
    const existing = this.#sockets.get(link);
    if (existing?.writable === true) {
      // The answer comes back with the pushed lines.
      existing.write(Buffer.concat([line, END_OF_LINE]));
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

  /** Pipes the daemon's output to the client with back-pressure. */
  #keep(socket: Socket, link: ClientLink): void {
    this.#sockets.set(link, socket);
    link.onGone(() => socket.destroy());
    socket.on('data', (part) => {
      socket.pause();
      void link.send(part).then((sent) => (sent ? socket.resume() : socket.destroy()));
    });
    socket.on('close', () => link.close());
    socket.resume();
    if (socket.destroyed) link.close();
  }

  #connect(command: LegacyCommand): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.path);
      socket.once('connect', () => resolve(socket));
      // Once connected, `close` follows each error and is handled elsewhere.
      socket.on('error', (error) => reject(this.#noAnswer(command, error)));
    });
  }

  /** Reads up to the first newline, and whatever came with it. Leaves the socket paused. */
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
      `The bridge forwards ${command} to the old daemon at ${this.path}, which did not answer: ${why}. Start the daemon again, or remove ${command} from --forward.`,
      cause,
    );
  }
}

/** @returns false if the answer is not JSON */
function isError(answer: Buffer): boolean {
  try {
    const { status } = JSON.parse(answer.toString('utf8').split('\n', 1)[0] ?? '') as { status?: unknown };
    return status === 'error';
  } catch {
    return false;
  }
}
