import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOCAL } from '../../src/access/principal.js';
import { EventConnection } from '../../src/api/ws/connection.js';

const FRAME = Buffer.from(
  JSON.stringify({
    op: 'approve',
    id: 'a',
    approval_id: '01a20820-0000-7000-8000-000000000000.1.1',
    decision: 'deny',
  }),
);

describe('a WebSocket client that sends requests faster than they can be answered', () => {
  it('is not read until its requests are answered, and then is read again', async () => {
    let answer: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    let paused = false;
    let resumed: () => void = () => undefined;
    const goesOn = new Promise<void>((resolve) => (resumed = resolve));
    const frames: string[] = [];
    const connection = new EventConnection({
      services: {
        approvals: { answer: () => answered.then(() => ({ decision: 'deny' })) },
        audit: { record: () => undefined },
      } as never,
      principal: LOCAL,
      requestId: 'r',
      incoming: {
        pause: () => (paused = true),
        resume: () => {
          paused = false;
          resumed();
        },
      },
      out: { send: (frame: string) => frames.push(frame), close: () => undefined } as never,
      live: {} as never,
    });
    for (let n = 0; n < 63; n++) connection.onMessage(FRAME, false);
    assert.equal(paused, false);
    for (let n = 0; n < 10; n++) connection.onMessage(FRAME, false);
    assert.equal(paused, true);
    answer();
    await goesOn;
    assert.equal(paused, false);
    assert.equal(frames.length, 73);
    connection.onMessage(FRAME, false);
    assert.equal(paused, false);
  });
});
