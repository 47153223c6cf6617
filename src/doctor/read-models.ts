import { request } from 'undici';
import type { Health } from '../../contracts/api/health.js';
import type { Broker } from '../broker/connect.js';
import { eventIdAt } from '../events/history.js';
import { findingsOf, saying, type Finding } from './finding.js';

const { ok, failed, skipped } = findingsOf('events');
const ANSWER_WITHIN_MS = 3_000;

/** Whether each API lists the tasks of the event stream that there is, and not of one from before a backup was restored. */
export async function* checkReadModels(
  broker: Broker,
  apis: readonly { readonly name: string; readonly url: string }[],
): AsyncGenerator<Finding> {
  for (const { name, url } of apis) {
    const title = `read model of ${name}`;
    let health: Health;
    try {
      const answer = await request(`${url}/health`, {
        headersTimeout: ANSWER_WITHIN_MS,
        bodyTimeout: ANSWER_WITHIN_MS,
      });
      health = (await answer.body.json()) as Health;
    } catch (error) {
      yield skipped(title, `it is not known: ${saying(error)}`, `Look into its log: ksi logs ${name}`);
      continue;
    }
    const { position, event_id: eventId } = health.read_model;
    const stored = await eventIdAt(broker, position);
    yield stored === undefined || eventId === undefined || stored === eventId
      ? ok(title, `has come to event ${position} of this stream`)
      : failed(
          title,
          `event ${position} is ${eventId} there and ${stored} in the stream, so it lists tasks of another history: was the broker restored from a backup?`,
          `Restart the API, which rebuilds it: ksi down, then ksi up; or end the process ${name}.`,
        );
  }
}
