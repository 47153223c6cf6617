import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { isEnded } from '../../contracts/tasks/states.js';
import { STREAM } from '../../contracts/wire/names.js';
import type { Access } from '../access/start.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { TopologyManager } from '../broker/topology-manager.js';
import { sweepPlaces } from '../broker/workspace-places.js';
import { dataFolders, DiskSpace } from '../process/disk-space.js';
import { serviceOf } from '../process/lifecycle.js';
import type { SessionsService } from '../sessions/start.js';
import type { Store } from '../store/start.js';
import { mcpServersFile } from '../tools/mcp-servers.js';
import { toolPolicyFile } from '../tools/policy-file.js';
import { addedRoots } from '../workspaces/added-roots.js';
import { Workspaces, writersIn } from '../workspaces/roots.js';
import { Acceptor } from './accept/acceptor.js';
import { IDEMPOTENCY_RECORDS } from '../../contracts/tasks/idempotency.js';
import { Records } from '../broker/records.js';
import { IdempotentAcceptor } from './accept/spawn-idempotency.js';
import { QueueCapacity } from './accept/queue-capacity.js';
import { Approvals } from './approvals/approvals.js';
import { RuleResponder } from './approvals/rule-responder.js';
import { PendingApprovals } from './approvals/pending.js';
import { ApprovalRules } from './approvals/rules.js';
import { BudgetEnforcer } from './budget-enforcer.js';
import { DeadLetters } from './dead-letters.js';
import { DueSchedules } from './due-schedules.js';
import { Expirer } from './expirer.js';
import { LostCommands, SETTLED_AFTER_MS } from './lost-commands.js';
import { TaskReader } from './reader.js';
import { Canceller } from './steer/cancel.js';
import { Inputs } from './steer/input.js';
import { Interrupter } from './steer/interrupt.js';
import { Retrier } from './steer/retry.js';
import { Sweeper, type Sweep } from './sweeper.js';

export interface TasksOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly topology: TopologyManager;
  readonly store: Store;
  readonly access: Access;
  readonly sessions: SessionsService;
  readonly config: Config;
  readonly log: Logger;
}

export type Tasks = Awaited<ReturnType<typeof startTasks>>;

/** Starts the API's part in tasks: accepting, reading, steering, approving and sweeping. */
export const startTasks = ({ broker, blobs, topology, store, access, sessions, config, log }: TasksOptions) =>
  serviceOf(log, async (lifecycle) => {
    const { hub, model } = store;
    const { spawnRate, exchanges, budget } = access;
    const { records, names } = sessions;
    const capacity = new QueueCapacity(broker, config, log);
    const disk = new DiskSpace(dataFolders(config.KSI_DIR));
    const acceptor = lifecycle.add(
      new Acceptor({
        broker,
        blobs,
        hub,
        model,
        disk,
        capacity,
        topology,
        records,
        names,
        budget,
        exchanges,
        workspaces: new Workspaces(config.KSI_WORKSPACES, addedRoots(config.KSI_DIR, log)),
        toolPolicy: toolPolicyFile(config.KSI_TOOL_POLICY, log),
        mcpServers: mcpServersFile(config.KSI_MCP_SERVERS, log),
        config,
        log,
      }),
    );
    const tasks = new TaskReader(broker, blobs, hub, model, names);
    const idempotency = new Records(broker, IDEMPOTENCY_RECORDS, log);
    const once = new IdempotentAcceptor(broker, acceptor, idempotency, log);
    const canceller = new Canceller(broker, tasks, log);
    const dead = new DeadLetters(broker, blobs, once, spawnRate, log);
    const pending = lifecycle.add(new PendingApprovals(hub, model, log));
    const approvalRules = lifecycle.add(new ApprovalRules(broker, access.tokens, log));
    await approvalRules.start();
    const byRule = lifecycle.add(
      new RuleResponder({ broker, hub, pending, rules: approvalRules, audit: access.audit, log }),
    );
    const due = lifecycle.add(new DueSchedules({ broker, inboxPrefix: config.KSI_NATS_INBOX, log }));
    const budgetEnforcer = lifecycle.add(new BudgetEnforcer({ broker, hub, model, budget, log }));
    const hasEnded = (taskId: string): boolean => {
      const row = model.get(taskId);
      return row !== undefined && isEnded(row.status);
    };
    return {
      disk,
      gauge: capacity,
      acceptor,
      once,
      tasks,
      idempotency,
      canceller,
      interrupter: new Interrupter(broker, tasks),
      inputs: new Inputs(broker, tasks),
      retrier: new Retrier({ broker, blobs, tasks, acceptor, dead, spawnRate }),
      dead,
      approvals: new Approvals({ broker, tasks, pending, rules: approvalRules, audit: access.audit }),
      approvalRules,
      /** Starts what needs the read model. @param others further sweeps. @throws {BrokerError} */
      async run(others: readonly Sweep[]): Promise<void> {
        await pending.start();
        byRule.start();
        due.start();
        const isReady = (): boolean => store.tail.caughtUp;
        const lost = new LostCommands({ broker, model, topology, isReady, log });
        const sweeps = [
          ...others,
          {
            done: 'cancelled tasks whose command was lost with KSI_COMMANDS',
            sweep: (signal: AbortSignal) => lost.sweep(signal),
          },
          { done: 'removed approval rules whose tokens have ended', sweep: () => approvalRules.removeEnded() },
          {
            done: 'repaired places in workspaces',
            sweep: (signal: AbortSignal) => sweepPlaces(broker, writersIn(config.KSI_WORKSPACE_WRITERS), signal),
          },
        ];
        const sweeper = lifecycle.add(new Sweeper(broker, new Expirer(broker, model, log), hasEnded, sweeps, log));
        sweeper.start();
        topology.onAnother((stream) => {
          // A little later, because the broker's time is measured with an error.
          if (stream === STREAM.commands) sweeper.sweepIn(SETTLED_AFTER_MS + 250);
        });
        budgetEnforcer.start();
      },
    };
  });
