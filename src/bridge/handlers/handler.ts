import type { Logger } from 'pino';
import type { LegacyCommand, LegacyParameters } from '../../../contracts/bridge/legacy.js';
import type { KsiApi } from '../../client/api.js';
import type { Transport } from '../../client/transport.js';
import type { BridgeAgents } from '../agents.js';
import type { ClientLink } from '../client-link.js';
import type { Counters } from '../counters.js';
import type { MessageLog } from '../files/message-log.js';
import type { WorkDir } from '../files/work-dir.js';
import type { Roster } from '../roster.js';
import type { Runs } from '../runs.js';

/** What handlers work with. */
export interface BridgeContext {
  readonly ksi: Transport;
  readonly client: KsiApi;
  readonly agents: BridgeAgents;
  readonly roster: Roster;
  readonly runs: Runs;
  readonly messageLog: MessageLog;
  /** Processes of the agents that were spawned here, by KSI's ids of the agents. */
  readonly spawned: Map<string, string>;
  readonly dir: WorkDir;
  readonly socket: string;
  readonly counters: Counters;
  readonly startedAt: string;
  /** By `performance.now()`. */
  readonly began: number;
  readonly log: Logger;
  /** Brings what may have changed in the working folder into KSI. @returns what was done, in words. */
  readonly reread: () => Promise<string>;
  /** Ends the bridge, and nothing else. */
  readonly shutDown: () => void;
}

export interface Answer {
  readonly result: unknown;
  /** The connection stays open, and is its agent's. */
  readonly keep?: true;
  /** What comes after the answer is written. */
  readonly after?: () => void;
}

/** Serves one command. @throws {LegacyError} what the client is told. @throws {KsiError | KsiUnreachableError} told as `<COMMAND>_FAILED`. */
export type Handler<C extends LegacyCommand> = (
  parameters: LegacyParameters<C>,
  context: BridgeContext,
  link: ClientLink,
) => Promise<Answer>;

/** An optional text of a client: many of the old scripts send '' for none. */
export const given = (text: string | undefined): string | undefined =>
  text === undefined || text === '' ? undefined : text;
