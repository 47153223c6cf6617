import { request } from 'undici';
import type { Health } from '../../contracts/api/health.js';
import type { Broker } from '../broker/connect.js';
import { eventIdAt } from '../events/history.js';
import { findingsOf, saying, type Finding } from './finding.js';

const { ok, failed, skipped } = findingsOf('events');
const ANSWER_TIMEOUT_MS = 3_000;

/** Checks that each API's read model comes from the present event stream, not from one before a backup was restored. */
export async function* checkReadModels(
  broker: Broker,
  apis: readonly { readonly name: string; readonly url: string }[],
): AsyncGenerator<Finding> {
  for (const { name, url } of apis) {
    const title = `read model of ${name}`;
    let health: Health;
    try {
      const answer = await request(`${url}/health`, {
        headersTimeout: ANSWER_TIMEOUT_MS,
        bodyTimeout: ANSWER_TIMEOUT_MS,
      });
      health = (await answer.body.json()) as Health;
    } catch (error) {
      yield skipped(title, `the API does not answer: ${saying(error)}`, `See its log: ksi logs ${name}`);
      continue;
    }
    const { position, event_id: eventId } = health.read_model;
    const stored = await eventIdAt(broker, position);
    yield stored === undefined || eventId === undefined || stored === eventId
      ? ok(title, `up to event ${position} of this stream`)
      : failed(
          title,
          `it comes from another stream: event ${position} is ${eventId} in it, but ${stored} in the stream. The broker was probably restored from a backup`,
          `Restart the API, which then rebuilds it: run ksi down and ksi up, or end the process ${name}.`,
        );
  }
}
