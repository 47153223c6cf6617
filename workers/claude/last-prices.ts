import type { EventData } from '../../contracts/events/events.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import type { ModelPrices } from './model-prices.js';

/** Learns prices from the last completed task, so that a new worker can estimate costs. @throws {BrokerError} */
export async function learnLastPrices(broker: Broker, prices: ModelPrices): Promise<void> {
  const completed = SUBJECT.taskState('*', TASK_STATES.completed.token);
  const last = await lastBySubject(broker, STREAM.events, completed);
  const event = last === undefined ? undefined : eventIn(last.data);
  const { output } = (event?.data ?? {}) as Partial<EventData<'SPAWN_COMPLETE'>>;
  prices.learn(output?.['modelUsage']);
}
