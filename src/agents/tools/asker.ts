import type { Agent } from '../../../contracts/agents/agents.js';
import { HAND_TOOLS, type HandToolName } from '../../../contracts/agents/tools.js';
import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { SpawnCommand } from '../../../contracts/tasks/spawn.js';
import type { Blobs } from '../../broker/blobs.js';
import { commandOf } from '../../broker/commands.js';
import type { Broker } from '../../broker/connect.js';
import { lastBySubject } from '../../broker/read.js';
import { dataIn, lastState } from '../../broker/task-states.js';
import type { AgentRegistry } from '../registry.js';
import { ApiError } from '../../errors/api-error.js';
import type { Authenticator } from '../../access/auth.js';
import { onBehalfOf, type Principal } from '../../access/principal.js';

/** The agent that asks for something by its own hands. */
export interface Asker {
  readonly agent: Agent;
  /** As it stands in the queue: what the agent's task runs with. */
  readonly command: SpawnCommand;
  /** Its owner, as the token that its task began with. */
  readonly principal: Principal;
}

export interface AskersOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly registry: Pick<AgentRegistry, 'agent'>;
  readonly authenticator: Pick<Authenticator, 'holderOf'>;
}

/** Tells who it is that asks from a worker's process. */
export class Askers {
  readonly #options: AskersOptions;

  constructor(options: AskersOptions) {
    this.#options = options;
  }

  /**
   * Only the process may ask that runs the task now, and only for what its agent may do still: the broker says which process asks, the
   * task's last state which one runs it, and the queue whose task it is. @throws {ApiError} forbidden, unauthorized
   */
  async find(process: string, taskId: string, tool: HandToolName): Promise<Asker> {
    const { authenticator, registry } = this.#options;
    const command = await this.running(process, taskId);
    const { agent_id: agentId, owner, hands = [], token_id: tokenId } = command;
    const { hand } = HAND_TOOLS[tool];
    if (agentId === undefined) throw new ApiError('forbidden', 'The task is no agent’s');
    const holder = tokenId === undefined ? undefined : authenticator.holderOf(tokenId);
    if (holder === undefined) throw new ApiError('unauthorized', 'The token that the task began with holds no more');
    const principal = onBehalfOf(holder, owner);
    const { value: agent } = await registry.agent(agentId, principal);
    if (!hands.includes(hand) || agent.hands?.includes(hand) !== true)
      throw new ApiError('forbidden', `The agent ${agentId} has not been given the hand \`${hand}\``);
    return { agent, command, principal };
  }

  /** The command of a task that the process runs now. @throws {ApiError} forbidden */
  async running(process: string, taskId: string): Promise<SpawnCommand> {
    const { broker, blobs } = this.#options;
    const start = dataIn(await lastState(broker, taskId), 'running');
    const sessionId = start.process === process ? start.session_id : undefined;
    const run =
      sessionId === undefined
        ? undefined
        : await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    const command = run === undefined ? undefined : await commandOf(run, blobs);
    if (command?.task_id !== taskId) throw new ApiError('forbidden', `${process} does not run the task ${taskId}`);
    return command;
  }
}
