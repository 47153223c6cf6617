import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { deleteMessage, lastBySubject } from '../../src/broker/read.js';
import { sleep, systemClock } from '../../src/clock.js';
import { readConfig } from '../../src/config/load.js';
import { checkBroker } from '../../src/doctor/broker.js';
import { checkEvents } from '../../src/doctor/events.js';
import type { Finding } from '../../src/doctor/finding.js';
import { ApiLab } from '../fixtures/api.js';

const HOUR = 3_600_000;
const AUDIT_BYTES = 1_048_576;
const LIMITS = { KSI_STREAM_MAX_BYTES: `KSI_AUDIT=${AUDIT_BYTES}` };

describe('ksi doctor, at a broker', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start(LIMITS);
  });
  after(() => lab.stop());

  const collect = async (checks: AsyncGenerator<Finding>): Promise<Finding[]> => {
    const findings: Finding[] = [];
    for await (const finding of checks) findings.push(finding);
    return findings;
  };
  const broker = (): Promise<Finding[]> => collect(checkBroker(lab.broker, readConfig(LIMITS), []));
  const events = (now?: number): Promise<Finding[]> =>
    collect(checkEvents(lab.broker, () => undefined, undefined, now));
  const failures = (findings: readonly Finding[]): string[] =>
    findings
      .filter(({ status }) => status === 'failed')
      .map(({ title, found, next }) => {
        assert.ok(next !== undefined);
        return `${title}: ${found}`;
      });

  it('finds nothing where all is well, open and waiting tasks included', async () => {
    const session = { session_id: 'busy' };
    await lab.spawn({ prompt: 'x', ...session });
    await lab.spawn({ prompt: 'x', ...session });
    await lab.finish(await lab.spawn(), 3);
    assert.deepEqual(failures(await broker()), []);
    assert.deepEqual(failures(await events()), []);
    assert.deepEqual(failures(await events(Date.now() + HOUR)), []);
  });

  it('warns of an audit that is nearly full; at its limit its oldest entries go, and no operation waits', async () => {
    const fill = async (share: number): Promise<void> => {
      const entry = { subject: SUBJECT.audit('local', 'test'), payload: 'x'.repeat(10_000) };
      for (let bytes = 0; bytes < share * AUDIT_BYTES; bytes += 10_000) await lab.broker.publisher.publish(entry);
    };
    const audit = async (): Promise<Finding | undefined> =>
      (await broker()).find(({ title }) => title === STREAM.audit);
    assert.equal((await audit())?.status, 'ok');
    await fill(0.85);
    assert.equal((await audit())?.status, 'warning');
    await fill(0.5);
    const { task_id: id } = await lab.spawn();
    while ((await lastBySubject(lab.broker, STREAM.audit, SUBJECT.audit('local', 'spawn'))) === undefined)
      await sleep(systemClock, 20);
    const { state } = await lab.broker.jsm.streams.info(STREAM.audit);
    assert.ok(state.first_seq > 1 && state.bytes <= AUDIT_BYTES, JSON.stringify(state));
    await lab.request(`/tasks/${id}/cancel`, { method: 'POST' });
  });

  it('names a stream and a consumer that differ from the contract', async () => {
    // It would mend them.
    await lab.stopApi();
    await lab.broker.jsm.streams.update(STREAM.events, { max_age: 5 * HOUR * 1_000_000 });
    await lab.broker.jsm.consumers.delete(STREAM.commands, 'run-default-normal');
    const found = failures(await broker()).join('\n');
    assert.match(found, /KSI_EVENTS: its configuration differs from the contract: max_age is 18000000000000, not \d+/);
    assert.match(found, /run-default-normal is missing/);
    await lab.broker.jsm.streams.delete(STREAM.dead);
    assert.match(failures(await broker()).join('\n'), /KSI_DEAD: the stream is missing/);
    await lab.startApi();
    assert.deepEqual(failures(await broker()), [], 'as it says: an API that starts mends it');
  });

  it('finds a task that stands nowhere, one that is left over, and an outcome too many', async () => {
    const lost = await lab.spawn();
    const run = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(lost.session_id));
    await deleteMessage(lab.broker, STREAM.commands, run?.seq ?? 0);
    assert.deepEqual(failures(await events()), [], 'it may just be on its way');
    const later = await events(Date.now() + HOUR);
    assert.match(failures(later).join('\n'), new RegExp(`open tasks: 1 of \\d+ are not in the queue: ${lost.task_id}`));
    assert.ok(later.some(({ title, status }) => title === 'queue' && status === 'warning'));
    const twice = await lab.spawn();
    await lab.finish(twice);
    const data = { task_id: twice.task_id, session_id: twice.session_id, owner: 'local', attempt: 1, n: 3, output: {} };
    await lab.broker.publisher.publish(
      eventPublication(newEvent(systemClock, 'SPAWN_COMPLETE', data), SUBJECT.taskState(twice.task_id, 'complete')),
    );
    assert.match(
      failures(await events()).join('\n'),
      new RegExp(`two outcomes: task ${twice.task_id}: completed, then completed`),
    );
  });
});
