import type { Agent } from '../../../contracts/agents/agents.js';
import { AGENT_TOOLS, type AgentToolName } from '../../../contracts/agents/tools.js';
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

/** The agent that calls a tool. */
export interface Caller {
  readonly agent: Agent;
  /** The command of the agent's task, as stored in the queue. */
  readonly command: SpawnCommand;
  /** The owner, with the scopes of the token that began the task. */
  readonly principal: Principal;
}

export interface CallersOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly registry: Pick<AgentRegistry, 'agent'>;
  readonly authenticator: Pick<Authenticator, 'holderOf'>;
}

/** Identifies the agent behind a tool call of a worker's process. */
export class Callers {
  readonly #options: CallersOptions;

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /**
   * A process may call tools only for a task that it runs now, and only tools that the agent still has. The broker authenticates the
   * process, the task's last state names the process that runs it, and the queue has the task's owner. @throws {ApiError} forbidden, unauthorized
   */
  async find(process: string, taskId: string, tool: AgentToolName): Promise<Caller> {
    const { authenticator, registry } = this.#options;
    const command = await this.running(process, taskId);
    const { agent_id: agentId, owner, agent_tools = [], token_id: tokenId } = command;
    const { group } = AGENT_TOOLS[tool];
    if (agentId === undefined)
      throw new ApiError('forbidden', 'The task belongs to no agent, and only agents have these tools');
    const holder = tokenId === undefined ? undefined : authenticator.holderOf(tokenId);
    if (holder === undefined)
      throw new ApiError('unauthorized', 'The token that began the task was revoked or has expired');
    const principal = onBehalfOf(holder, owner);
    const { value: agent } = await registry.agent(agentId, principal);
    if (!agent_tools.includes(group) || agent.agent_tools?.includes(group) !== true)
      throw new ApiError(
        'forbidden',
        `The agent ${agentId} has no agent tools of the kind \`${group}\`. Its owner can add them to the agent`,
      );
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
