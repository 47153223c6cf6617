import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock, timerMs } from '../../src/clock.js';

describe('the clock', () => {
  it('makes a whole number of milliseconds of every duration, and never shortens a wait', () => {
    assert.deepEqual([0, 0.0001, 999.99, 1_000].map(timerMs), [0, 1, 1_000, 1_000]);
  });

  it('does not fire at once after a duration that is too long for a timer', async () => {
    const early: string[] = [];
    const stop = systemClock.after(1e15, () => early.push('timer'));
    const deadline = systemClock.deadline(Infinity);
    // A timer whose duration does not fit fires after 1 ms.
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    stop();
    assert.deepEqual([early, deadline.aborted], [[], false]);
  });
});
