import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { NEW_TASK, stateEvent } from '../../src/broker/task-states.js';
import { LASTS_MS, phaseAfter, type Phase, type RunEvent } from '../../workers/claude/phases.js';
import { maxHeldRuns, Slots } from '../../workers/queue/slots.js';

const identity = { task_id: 't', session_id: 's', owner: 'local' };

describe('a state event', () => {
  it('expects the state that it follows', () => {
    const from = { status: 'running', seq: 7 } as const;
    const { event, publication } = stateEvent(systemClock, from, 'cancelled', { ...identity, reason: 'requested' });
    assert.equal(event.type, 'SPAWN_CANCELLED');
    assert.deepEqual(publication.expect, { filter: 'ksi.events.task.t.state.*', seq: 7 });
    assert.equal(publication.msgId, event.id);
  });

  it('is refused if the table of states does not list it', () => {
    const waiting = { ...identity, queue: 'default', reason: 'session_busy' } as const;
    for (const from of [NEW_TASK, { status: 'running', seq: 3 } as const, { status: 'completed', seq: 4 } as const])
      assert.throws(() => stateEvent(systemClock, from, 'waiting', waiting), /task t cannot go from/);
  });
});

describe('a run of Claude', () => {
  const after = (...events: RunEvent[]): Phase =>
    events.reduce<Phase>((phase, event) => phaseAfter(phase, event) ?? phase, 'starting');

  it('closes its input after the last turn, and is stopped if it does not exit', () => {
    assert.equal(after('said', 'turn_begun', 'over'), 'closing');
    assert.equal(after('said', 'over', 'time_up'), 'ending');
  });

  it('continues if input came too late for a turn', () => {
    assert.equal(after('said', 'over', 'turn_begun'), 'working');
  });

  it('waits for a turn after background work', () => {
    assert.equal(after('said', 'settled'), 'settled');
    assert.equal(after('said', 'settled', 'time_up'), 'closing');
  });

  it('may be read at any speed after its process has exited', () => {
    const exitedEnding = after('said', 'output_closed', 'exited');
    assert.equal(exitedEnding, 'gone');
    assert.equal(LASTS_MS[exitedEnding], undefined);
  });

  it('can be stopped in every phase, once', () => {
    for (const events of [[], ['said'], ['settled'], ['over'], ['output_closed']] as RunEvent[][])
      assert.equal(after(...events, 'stop'), 'ending');
    assert.equal(phaseAfter('ending', 'stop'), undefined);
  });
});

describe('slots', () => {
  it('are reserved for tasks that others wait for', () => {
    const slots = new Slots(1);
    const root = slots.take(0);
    assert.ok(root !== undefined);
    assert.equal(slots.take(1), undefined);
    const back = slots.lend(root);
    assert.equal(slots.hasRoom(0), false);
    assert.notEqual(slots.take(1), undefined);
    back();
    assert.ok(slots.running <= maxHeldRuns(1));
  });

  it('take nothing during any of several pauses, and report when a slot may be free', () => {
    const slots = new Slots(1);
    let told = 0;
    slots.onRoom(() => (told += 1));
    const [first, second] = [slots.pause(), slots.pause()];
    first();
    assert.equal(slots.hasRoomForSome, false);
    second();
    assert.equal(slots.hasRoomForSome, true);
    assert.equal(told, 2);
  });

  it('return a retired slot once it is restored and empty', () => {
    const slots = new Slots(2);
    const slot = slots.take(0);
    assert.ok(slot !== undefined);
    const restore = slots.retire(slot);
    slots.release(slot);
    assert.notEqual(slots.take(0), slot);
    assert.equal(slots.take(0), undefined);
    restore();
    assert.equal(slots.take(0), slot);
  });
});
