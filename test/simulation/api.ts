import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { isEnded, statusOfSubject, TASK_STATES } from '../../contracts/tasks/states.js';
import { UnacceptedTasks } from '../../src/tasks/accept/unaccepted-tasks.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import { DueSchedules } from '../../src/tasks/due-schedules.js';
import { Canceller } from '../../src/tasks/steer/cancel.js';
import { Sweeper } from '../../src/tasks/sweeper.js';
import type { Broker } from '../../src/broker/connect.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { deleteMessage } from '../../src/broker/read.js';
import { directRun, promote, storeWaiting, type QueueEntry } from '../../src/broker/session-queue.js';
import { sweepPlaces } from '../../src/broker/workspace-places.js';
import { simBroker } from './connection.js';
import { Link } from './link.js';
import { SimProcess } from './process.js';
import type { World } from './world.js';
import { systemClock } from '../../src/clock.js';

export interface ApiFlaws {
  readonly broker?: (broker: Broker) => Broker;
  readonly noSweeper?: boolean;
}

/** An API as far as tasks go: it accepts them in the real order of steps, cancels, sweeps, and does what is due. */
export class SimApi {
  readonly process: SimProcess;
  readonly link: Link;
  readonly #world: World;
  readonly #broker: Broker;
  readonly #notAccepted: UnacceptedTasks;
  readonly #canceller: Canceller;

  constructor(world: World, name: string, flaws: ApiFlaws) {
    const { scheduler, server } = world;
    this.#world = world;
    this.process = new SimProcess(name, scheduler);
    this.link = new Link(this.process, server, scheduler, world.hiccups);
    this.#broker = (flaws.broker ?? ((broker: Broker) => broker))(simBroker(this.link, server));
    const log = world.log(name);
    this.#notAccepted = new UnacceptedTasks(this.#broker, log);
    const task = async (id: string): Promise<never> => ({ ...this.#identity(id), status: 'queued' }) as never;
    this.#canceller = new Canceller(this.#broker, { task, ended: task }, log);
    const expirer = { sweep: async () => 0 };
    // A read model may be behind; it is never ahead.
    const hasEnded = (taskId: string): boolean => scheduler.random() < 0.8 && this.#hasEnded(taskId);
    if (flaws.noSweeper !== true) {
      const sweep = (signal: AbortSignal): Promise<number> => sweepPlaces(this.#broker, () => 1, signal);
      new Sweeper(this.#broker, expirer, hasEnded, [{ done: 'repaired places in workspaces', sweep }], log).start();
    }
    new DueSchedules({ broker: this.#broker, log }).start();
  }

  /** @returns whether the client is told that it is accepted. */
  async accept(command: SpawnCommand): Promise<boolean> {
    if (!this.#broker.connected()) return false;
    const { task_id: taskId, session_id: sessionId, queue, priority } = command;
    const task: QueueEntry = {
      taskId,
      sessionId,
      queue,
      payload: JSON.stringify(command),
      headers: { [HEADER.type]: 'SPAWN' },
    };
    const announced = this.#state('SPAWN_QUEUED', taskId, 0, { queue, priority, prompt_preview: '' });
    announced.catch(() => undefined);
    try {
      try {
        await this.#broker.publisher.publish(directRun(task, priority));
        return true;
      } catch (error) {
        if (!isBrokerError(error, 'conflict')) throw error;
      }
      await storeWaiting(this.#broker, task);
    } catch (error) {
      return this.#turnedOutAccepted(taskId, error);
    }
    await this.#speedUp(task, announced);
    return true;
  }

  /** Errors are the client's to see. */
  async cancel(taskId: string): Promise<void> {
    await this.#canceller.cancel(taskId, { owner: 'local' } as never);
  }

  async #speedUp(task: QueueEntry, announced: Promise<number>): Promise<void> {
    try {
      await this.#state('SPAWN_WAITING', task.taskId, await announced, {
        queue: task.queue,
        reason: 'session_busy',
      }).catch((error: unknown) => {
        if (!isBrokerError(error, 'conflict')) throw error;
      });
      const promoted = await promote(this.#broker, task.sessionId);
      if (promoted !== undefined) await deleteMessage(this.#broker, STREAM.commands, promoted.waitingSeq);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
    }
  }

  async #turnedOutAccepted(taskId: string, error: unknown): Promise<boolean> {
    const identity = this.#identity(taskId);
    if (!isBrokerError(error, 'unavailable')) {
      try {
        return !(await this.#notAccepted.cancel(identity));
      } catch (cause) {
        if (!isBrokerError(cause)) throw cause;
      }
    }
    this.#notAccepted.later(identity);
    return false;
  }

  async #state(type: 'SPAWN_QUEUED' | 'SPAWN_WAITING', taskId: string, seq: number, data: object): Promise<number> {
    const event = newEvent(systemClock, type, { ...this.#identity(taskId), ...data } as never);
    const token = type === 'SPAWN_QUEUED' ? TASK_STATES.queued.token : TASK_STATES.waiting.token;
    const expect = { filter: SUBJECT.taskStates(taskId), seq };
    const publication = eventPublication(event, SUBJECT.taskState(taskId, token), expect);
    return (await this.#broker.publisher.publish(publication)).seq;
  }

  #identity(taskId: string): TaskIdentity {
    const { session_id = '' } = this.#world.record.posted.get(taskId) ?? {};
    return { task_id: taskId, session_id, owner: 'local' };
  }

  #hasEnded(taskId: string): boolean {
    const last = this.#world.server.streams.events.last(SUBJECT.taskStates(taskId));
    const status = last === undefined ? undefined : statusOfSubject(last.subject);
    return status !== undefined && isEnded(status);
  }
}
