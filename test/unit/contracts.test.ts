import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Type } from 'typebox';
import { check } from '../../contracts/check.js';
import { SpawnRequest } from '../../contracts/spawn.js';
import { SUBJECT } from '../../contracts/names.js';
import {
  TASK_STATES,
  TASK_STATUSES,
  isEnded,
  mayFollow,
  statusOfEvent,
  statusOfSubject,
} from '../../contracts/states.js';

describe('check', () => {
  const fieldsOf = (value: unknown): string[] => {
    const result = check(SpawnRequest, value);
    return result.ok ? [] : result.faults.map((fault) => fault.field).toSorted();
  };

  it('takes null for an optional field as absent', () => {
    const result = check(SpawnRequest, { prompt: 'x', session_id: null, allowed_tools: null });
    assert.deepEqual(result, { ok: true, value: { prompt: 'x' } });
  });

  it('refuses null for a required field and names it', () => {
    assert.deepEqual(fieldsOf({ prompt: null }), ['prompt']);
  });

  it('names every unknown, missing and mistyped field at once', () => {
    assert.deepEqual(fieldsOf({ spoon: true, model: 1, priority: 'urgent' }), ['model', 'priority', 'prompt', 'spoon']);
  });

  it('does not take an unknown field for absent because it is null', () => {
    assert.deepEqual(fieldsOf({ prompt: 'x', nonsense: null }), ['nonsense']);
  });

  it('names a place inside an array by its path', () => {
    assert.deepEqual(fieldsOf({ prompt: 'x', allowed_tools: ['Bash', 1] }), ['allowed_tools.1']);
  });

  it('is not fooled by keys of Object.prototype', () => {
    const hostile: unknown = JSON.parse('{"prompt":"x","__proto__":{"polluted":true},"constructor":null}');
    assert.equal(check(SpawnRequest, hostile).ok, false);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });

  it('says that a value of another kind is not an object', () => {
    for (const value of [null, 1, 'x', [], undefined]) {
      const result = check(Type.Object({ a: Type.String() }), value);
      assert.equal(result.ok, false);
    }
  });
});

describe('task states', () => {
  it('reach an end from everywhere, and nothing follows an end', () => {
    for (const status of TASK_STATUSES) {
      const reached = new Set([status]);
      for (const at of reached) for (const to of TASK_STATES[at].to) reached.add(to);
      assert.ok([...reached].some(isEnded), `${status} never ends`);
      if (isEnded(status)) for (const to of TASK_STATUSES) assert.equal(mayFollow(status, to), false);
    }
  });

  it('are told apart by their events and by their subjects', () => {
    for (const status of TASK_STATUSES) {
      assert.equal(statusOfEvent(TASK_STATES[status].event), status);
      assert.equal(statusOfSubject(SUBJECT.taskState('id', TASK_STATES[status].token)), status);
    }
    assert.equal(statusOfEvent('SPAWN_MESSAGE'), undefined);
    assert.equal(statusOfSubject(SUBJECT.taskOutput('id')), undefined);
  });
});
