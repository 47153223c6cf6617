import type { EventData } from '../../contracts/events/events.js';
import { NO_USAGE, type Usage } from '../../contracts/access/usage.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn } from '../../src/broker/events.js';
import { lastBySubject, nextBySubject } from '../../src/broker/read.js';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from '../claude/ending.js';
import { ModelPrices } from '../claude/model-prices.js';
import { SaidUsage } from '../claude/said-usage.js';

/** The next attempt waits while these are read one by one. Further messages are not counted. */
const MAX_MESSAGES = 1_000;

/**
 * Estimates the usage of an attempt whose worker is lost from the events that it had stored. Claude's own sums died with the worker: those
 * in a result are of the whole session, so they serve for the prices only. Messages in the object store are left out.
 * @param startSeq of the attempt's SPAWN_START. @returns undefined: its events report no tokens. @throws {BrokerError}
 */
export async function lostUsage(broker: Broker, taskId: string, startSeq: number): Promise<Usage | undefined> {
  const said = new SaidUsage();
  const prices = new ModelPrices();
  for (let read = 0, seq = startSeq; read < MAX_MESSAGES; read++) {
    const stored = await nextBySubject(broker, STREAM.events, SUBJECT.taskOutput(taskId), seq + 1);
    if (stored === undefined) break;
    seq = stored.seq;
    const { message } = (eventIn(stored.data)?.data ?? {}) as Partial<EventData<'SPAWN_MESSAGE'>>;
    if (!isMessage(message)) continue;
    said.add(message);
    prices.learn(message['modelUsage']);
  }
  if (said.missing(prices) === undefined) return undefined;
  // Claude says costs only in results, of which a lost attempt rarely has one.
  const completed = SUBJECT.taskState('*', TASK_STATES.completed.token);
  const last = await lastBySubject(broker, STREAM.events, completed);
  const { output } = (eventIn(last?.data ?? EMPTY)?.data ?? {}) as Partial<EventData<'SPAWN_COMPLETE'>>;
  prices.learn(output?.['modelUsage']);
  return { ...NO_USAGE, ...said.missing(prices), estimated: true };
}

const EMPTY = new Uint8Array();

const isMessage = (value: unknown): value is ClaudeMessage => isRecord(value) && typeof value['type'] === 'string';
