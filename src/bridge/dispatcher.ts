import type { Logger } from 'pino';
import type { LegacyCommand, LegacyErrorCode } from '../../contracts/bridge/legacy.js';
import { isLegacyCommand } from '../../contracts/bridge/legacy.js';
import { KsiError, KsiUnreachableError } from '../client/errors.js';
import type { ClientHandler, ClientLink } from './client-link.js';
import type { CommandCounts, Place } from './counters.js';
import { checkRequest, errorLine, readLine, successLine, type ReadLine } from './envelope.js';
import { LegacyError, plainMessage } from './errors.js';
import type { BridgeContext, Handler } from './handlers/handler.js';
import { HANDLERS } from './handlers/table.js';
import type { LineTooLongError } from './lines.js';
import type { Upstream } from './upstream.js';

/** The bridge's own command, for operators. It never goes to the old daemon. */
export const STATS_COMMAND = 'BRIDGE_STATS';
/** Counts and logs show this for every unknown command, so that clients cannot fill them with arbitrary names. */
const NO_COMMAND = 'INVALID';

/** Commands whose answers depend on the connected agents. */
const CONNECTION_COMMANDS: ReadonlySet<LegacyCommand> = new Set([
  'AGENT_CONNECTION',
  'GET_AGENTS',
  'MESSAGE_BUS_STATS',
  'PUBLISH',
  'ROUTE_TASK',
  'SUBSCRIBE',
]);

/** Old clients wait 30 s for an answer. */
const ANSWER_WITHIN_MS = 25_000;

type Then = 'keep' | 'close';

/** The answer to BRIDGE_STATS. */
export interface BridgeStats {
  readonly started_at: string;
  readonly commands: CommandCounts;
  readonly total: number;
  readonly connected_agents: readonly string[];
  readonly upstream?: string;
}

/** Serves each command with its handler or the old daemon, and sends the answer. */
export class Dispatcher implements ClientHandler {
  readonly #context: BridgeContext;
  readonly #upstream: Upstream | undefined;
  readonly #log: Logger;

  constructor(context: BridgeContext, upstream: Upstream | undefined) {
    this.#context = context;
    this.#upstream = upstream;
    this.#log = context.log;
  }

  async line(line: Buffer, link: ClientLink): Promise<Then> {
    const began = performance.now();
    let command = NO_COMMAND;
    let place: Place = 'ksi';
    let failed = true;
    let then: Then = this.#isKept(link) ? 'keep' : 'close';
    try {
      const read = readLine(line);
      if (read.command === STATS_COMMAND) command = STATS_COMMAND;
      if (command === STATS_COMMAND) {
        await link.send(successLine(STATS_COMMAND, this.stats()));
        return then;
      }
      if (read.command !== undefined && isLegacyCommand(read.command)) command = read.command;
      if (this.#upstream?.serves(command) === true) {
        place = 'upstream';
        const keep = connects(read);
        failed = await this.#upstream.pass(line, link, { command: command as LegacyCommand, keep });
        if (keep) then = 'keep';
      } else {
        then = await this.#serve(read, link);
        failed = false;
      }
    } catch (error) {
      await link.send(this.#errorReply(error, command));
    } finally {
      if (command !== STATS_COMMAND) this.#note({ command, place, failed, ms: Math.round(performance.now() - began) });
    }
    return then;
  }

  tooLong(error: LineTooLongError): string {
    this.#note({ command: NO_COMMAND, place: 'ksi', failed: true, ms: 0 });
    return errorLine('INVALID_COMMAND', error.message);
  }

  stats(): BridgeStats {
    const { counters, startedAt, agents } = this.#context;
    return {
      started_at: startedAt,
      commands: counters.counts(),
      total: counters.total,
      connected_agents: agents.connected(),
      ...(this.#upstream === undefined ? {} : { upstream: this.#upstream.path }),
    };
  }

  async #serve(read: ReadLine, link: ClientLink): Promise<Then> {
    const { command, parameters } = checkRequest(read);
    // The table's type pairs each command with the handler of its parameters, which `checkRequest` has checked.
    const handle = HANDLERS[command] as Handler<LegacyCommand>;
    const departed = CONNECTION_COMMANDS.has(command) ? this.#context.agents.departed() : Promise.resolve();
    const handled = departed.then(() => handle(parameters, this.#context, link));
    // A synchronous SPAWN answers when Claude has finished. Its client waits without a limit.
    const answer = await (command === 'SPAWN' ? handled : inTime(command, handled));
    await link.send(successLine(command, answer.result));
    answer.after?.();
    return answer.keep === true || this.#isKept(link) ? 'keep' : 'close';
  }

  #isKept(link: ClientLink): boolean {
    return this.#context.agents.owns(link) || this.#upstream?.keeps(link) === true;
  }

  #errorReply(error: unknown, command: string): string {
    if (error instanceof LegacyError) return errorLine(error.code, error.message);
    if (error instanceof KsiError || error instanceof KsiUnreachableError)
      return errorLine(`${command}_FAILED` as LegacyErrorCode, plainMessage(error));
    this.#log.error({ err: error, command }, 'command failed unexpectedly');
    return errorLine(
      'COMMAND_PROCESSING_FAILED',
      `${command}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }

  #note(what: { command: string; place: Place; failed: boolean; ms: number }): void {
    this.#context.counters.count(what.command, what.place, what.failed);
    this.#log.info(what, 'command');
  }
}

/** @throws {LegacyError} if the answer takes longer than an old client waits for it. The command may still take effect */
async function inTime<T>(command: LegacyCommand, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new LegacyError(`${command}_FAILED`, `KSI did not answer within ${ANSWER_WITHIN_MS / 1000} s. The command may still take effect. Run \`ksi doctor\`.`); // prettier-ignore
    timer = setTimeout(() => reject(error), ANSWER_WITHIN_MS);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

/** Whether a line connects an agent. */
function connects({ command, object }: ReadLine): boolean {
  const { action } = (object['parameters'] ?? {}) as { action?: unknown };
  return command === 'AGENT_CONNECTION' && action === 'connect';
}
