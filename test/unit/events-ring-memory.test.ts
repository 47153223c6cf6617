import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { HubEvent } from '../../src/events/hub-event.js';
import { EventRing } from '../../src/events/ring.js';

const MIB = 1_048_576;

describe('the ring', () => {
  it('releases the memory of large events that it has dropped', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const ring = new EventRing();
    const pushed: WeakRef<HubEvent>[] = [];
    for (let seq = 1; seq <= 200; seq++) {
      const stored = { v: 1, id: '', type: 'X', timestamp: '', data: {} } as never;
      const event = new HubEvent({ incarnation: 'x', seq }, 'ksi.events.a.b', 'y'.repeat(MIB), stored);
      pushed.push(new WeakRef(event));
      ring.push(event);
    }
    // A weak reference is held to the end of the turn that made it.
    await new Promise(setImmediate);
    collect();
    const alive = pushed.filter((event) => event.deref() !== undefined).length;
    assert.equal(ring.after(190, 200)?.length, 10);
    // 32 MiB are kept, and as much again may wait to be cut off.
    assert.ok(alive <= 70, `${alive} of 200 events of 1 MiB are in memory`);
  });
});
