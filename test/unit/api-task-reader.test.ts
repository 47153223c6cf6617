import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';
import { LOCAL } from '../../src/access/principal.js';
import { TaskReader } from '../../src/tasks/reader.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { acceptedRow, type TaskRow } from '../../src/store/projection.js';
import type { EventHub } from '../../src/events/hub.js';
import type { ReadModel } from '../../src/store/read-model.js';

const NO_NAMES = { find: () => Promise.resolve(undefined) };

const ID = '01a20820-0000-7000-8000-000000000000';
const ROW = acceptedRow(
  {
    v: 1,
    task_id: ID,
    session_id: ID,
    owner: 'local',
    queue: 'default',
    priority: 'normal',
    accepted_at: new Date(0).toISOString(),
    prompt: 'x',
  },
  'queued',
);

describe('waiting for the end of a task', () => {
  it('leaves no listener after the end or an abort', async () => {
    const listeners = new Set<(row: TaskRow) => void>();
    const model = {
      get: () => ROW,
      output: () => undefined,
      onEnded: (_id: string, listener: (row: TaskRow) => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    } as unknown as ReadModel;
    const reader = new TaskReader({} as Broker, {} as Blobs, {} as EventHub, model, NO_NAMES);
    const giveUp = new AbortController();
    const first = reader.ended(ID, LOCAL, giveUp.signal);
    const second = reader.ended(ID, LOCAL, giveUp.signal);
    await new Promise(setImmediate);
    const [tell] = listeners;
    tell?.({ ...ROW, status: 'completed', ended_at: ROW.created_at });
    assert.equal((await first).status, 'completed');
    assert.equal(getEventListeners(giveUp.signal, 'abort').length, 1);
    giveUp.abort();
    assert.equal((await second).status, 'queued');
    assert.equal(listeners.size, 0);
  });

  it('sees a task that ends while the broker is queried', async () => {
    let row: TaskRow | undefined;
    const model = { get: () => row, output: () => undefined, onEnded: () => () => undefined } as unknown as ReadModel;
    const hub = {
      read: async function* () {
        yield {
          seq: 1,
          type: 'SPAWN_QUEUED',
          timestamp: ROW.created_at,
          data: { ...ROW, prompt_preview: '' },
        };
        row = { ...ROW, status: 'completed', ended_at: ROW.created_at };
      },
    } as unknown as EventHub;
    const reader = new TaskReader({} as Broker, {} as Blobs, hub, model, NO_NAMES);
    assert.equal((await reader.ended(ID, LOCAL, new AbortController().signal)).status, 'completed');
  });
});
