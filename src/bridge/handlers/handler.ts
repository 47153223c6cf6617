import type { Profile } from '../../../contracts/agents/profiles.js';
import type { Logger } from 'pino';
import type { LegacyCommand, LegacyParameters } from '../../../contracts/bridge/legacy.js';
import type { KsiApi } from '../../client/api.js';
import type { Transport } from '../../client/transport.js';
import type { BridgeAgents } from '../agents.js';
import type { ClientLink } from '../client-link.js';
import type { Counters } from '../counters.js';
import type { MessageLog } from '../files/message-log.js';
import type { WorkDir } from '../files/work-dir.js';
import type { AgentDirectory } from '../agent-directory.js';
import type { Runs } from '../runs.js';

/** The services that handlers use. */
export interface BridgeContext {
  readonly ksi: Transport;
  readonly client: KsiApi;
  readonly agents: BridgeAgents;
  readonly directory: AgentDirectory;
  readonly runs: Runs;
  readonly messageLog: MessageLog;
  /** The process ids of agents spawned here, by the agents' ids in KSI. */
  readonly spawned: Map<string, string>;
  readonly dir: WorkDir;
  readonly socket: string;
  readonly counters: Counters;
  readonly startedAt: string;
  /** The start of the bridge, by `performance.now()`. */
  readonly began: number;
  readonly log: Logger;
  /** Brings the working folder's profiles and compositions up to date. Never rejects. */
  readonly mirror: () => Promise<void>;
  /** Imports changes of the working folder into KSI. @returns sentences that say what was done */
  readonly reread: () => Promise<string>;
  /** The profile of this name in the working folder, if a client wrote or changed its file. @throws {ProfileError} */
  readonly changedProfile: (name: string) => Promise<Profile | undefined>;
  /** Ends the bridge. KSI continues. */
  readonly shutDown: () => void;
}

export interface Answer {
  readonly result: unknown;
  /** Keeps the connection open for an agent. */
  readonly keep?: true;
  /** Called after the answer is written. */
  readonly after?: () => void;
}

/**
 * Serves one command.
 * @throws {LegacyError} which becomes the client's answer
 * @throws {KsiError | KsiUnreachableError} which become `<COMMAND>_FAILED`
 */
export type Handler<C extends LegacyCommand> = (
  parameters: LegacyParameters<C>,
  context: BridgeContext,
  link: ClientLink,
) => Promise<Answer>;

/** An optional text from a client. Many old scripts send '' instead of omitting it. */
export const given = (text: string | undefined): string | undefined =>
  text === undefined || text === '' ? undefined : text;
