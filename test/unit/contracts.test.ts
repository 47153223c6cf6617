import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Type } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { MAX_DEPTH, MAX_FIELDS } from '../../contracts/wire/extent.js';
import { SpawnRequest } from '../../contracts/tasks/spawn.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import {
  TASK_STATES,
  TASK_STATUSES,
  isEnded,
  mayFollow,
  statusOfEvent,
  statusOfSubject,
} from '../../contracts/tasks/states.js';

describe('check', () => {
  const fieldsOf = (value: unknown): string[] => {
    const result = check(SpawnRequest, value);
    return result.ok ? [] : result.faults.map((fault) => fault.field).toSorted();
  };

  it('treats null for an optional field as absent', () => {
    const result = check(SpawnRequest, { prompt: 'x', session_id: null, allowed_tools: null });
    assert.deepEqual(result, { ok: true, value: { prompt: 'x' } });
  });

  it('refuses null for a required field and names it', () => {
    assert.deepEqual(fieldsOf({ prompt: null }), ['prompt']);
  });

  it('names every unknown, missing and mistyped field at once', () => {
    assert.deepEqual(fieldsOf({ spoon: true, model: 1, priority: 'urgent' }), ['model', 'priority', 'prompt', 'spoon']);
  });

  it('reports an unknown field even if it is null', () => {
    assert.deepEqual(fieldsOf({ prompt: 'x', nonsense: null }), ['nonsense']);
  });

  it('names a place inside an array by its path', () => {
    assert.deepEqual(fieldsOf({ prompt: 'x', allowed_tools: ['Bash', 1] }), ['allowed_tools.1']);
  });

  it('names each of many unknown fields', () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`unknown${n}`, n]));
    const named = fieldsOf({ prompt: 'x', metadata: { 'no name': 'x' }, ...many });
    assert.ok(named.includes('unknown0') && named.length > 1, named.join());
  });

  it('refuses deeply nested values before anything traverses them', () => {
    const deep = (levels: number): unknown => JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`);
    assert.equal(check(SpawnRequest, { prompt: 'x', output_schema: deep(MAX_DEPTH - 1) }).ok, true);
    for (const levels of [MAX_DEPTH, 1_000_000])
      assert.deepEqual(check(SpawnRequest, { prompt: 'x', output_schema: deep(levels) }), {
        ok: false,
        faults: [{ field: '', message: `is nested more than ${MAX_DEPTH} levels deep` }],
      });
  });

  it('reports the first faults of many, and refuses objects with too many fields', () => {
    const rules = Array.from({ length: 500_000 }, () => '-flag');
    const begun = performance.now();
    const faults = fieldsOf({ prompt: 'x', allowed_tools: rules });
    assert.ok(faults.includes('allowed_tools.0'), faults.join());
    const wide = Object.fromEntries(Array.from({ length: MAX_FIELDS + 1 }, (_, n) => [`k${n}`, n]));
    assert.deepEqual(fieldsOf({ prompt: 'x', output_schema: wide }), ['']);
    // Telling of all of them took the event loop for as many seconds as a body has megabytes.
    assert.ok(performance.now() - begun < 5_000);
  });

  it('is not confused by keys of Object.prototype', () => {
    const hostile: unknown = JSON.parse('{"prompt":"x","__proto__":{"polluted":true},"constructor":null}');
    assert.equal(check(SpawnRequest, hostile).ok, false);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });

  it('reports that a value of another type is not an object', () => {
    for (const value of [null, 1, 'x', [], undefined]) {
      const result = check(Type.Object({ a: Type.String() }), value);
      assert.equal(result.ok, false);
    }
  });
});

describe('task states', () => {
  it('can reach an end from every state, and nothing follows an end', () => {
    for (const status of TASK_STATUSES) {
      const reached = new Set([status]);
      for (const at of reached) for (const to of TASK_STATES[at].to) reached.add(to);
      assert.ok([...reached].some(isEnded), `${status} never ends`);
      if (isEnded(status)) for (const to of TASK_STATUSES) assert.equal(mayFollow(status, to), false);
    }
  });

  it('are distinguished by their events and by their subjects', () => {
    for (const status of TASK_STATUSES) {
      assert.equal(statusOfEvent(TASK_STATES[status].event), status);
      assert.equal(statusOfSubject(SUBJECT.taskState('id', TASK_STATES[status].token)), status);
    }
    assert.equal(statusOfEvent('SPAWN_MESSAGE'), undefined);
    assert.equal(statusOfSubject(SUBJECT.taskOutput('id')), undefined);
  });
});
