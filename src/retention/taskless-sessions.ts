import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { subjectsOf } from '../broker/read.js';
import type { ReadModel } from '../store/read-model.js';

/** The ids of all sessions that have a transcript but no task: imported ones, and those whose tasks were deleted. @throws {BrokerError} */
export async function* tasklessSessions(broker: Broker, model: Pick<ReadModel, 'session'>): AsyncGenerator<string> {
  for (const subject of await subjectsOf(broker, STREAM.transcripts, SUBJECT.transcript('*'))) {
    const id = subject.slice(subject.lastIndexOf('.') + 1);
    if ((await model.session(id)) === undefined) yield id;
  }
}
