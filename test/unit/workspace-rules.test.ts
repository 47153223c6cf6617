import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WorkspacePlaces, WorkspaceWaiter } from '../../contracts/tasks/workspace.js';
import { enter, lend, admit, moveLate, without } from '../../src/broker/workspace-rules.js';
import { writersIn } from '../../src/workspaces/roots.js';

const UNTIL = 1_000;
const NOBODY: WorkspacePlaces = { v: 1, writers: [], waiting: [] };

const task = (id: string, workspace = 'site', ancestors?: string[]): WorkspaceWaiter => ({
  task_id: id,
  session_id: `session of ${id}`,
  owner: 'local',
  workspace,
  since: '2026-01-01T00:00:00.000Z',
  ...(ancestors === undefined ? {} : { ancestors }),
});
/** The places after some tasks came, one after the other. */
const after = (from: WorkspacePlaces, tasks: readonly WorkspaceWaiter[], most = 1): WorkspacePlaces =>
  tasks.reduce((places, each) => admit(enter(places, each, most, UNTIL), most, UNTIL), from);
const ids = ({ writers, waiting }: WorkspacePlaces): string[][] =>
  [writers, waiting].map((tasks: readonly WorkspaceWaiter[]) => tasks.map(({ task_id: id }) => id));
const ended = (places: WorkspacePlaces, id: string, most = 1): WorkspacePlaces =>
  admit(
    without(places, ({ task_id: each }) => each === id),
    most,
    UNTIL,
  );

describe('places in workspaces', () => {
  it('go to one writer at a time, in order of arrival', () => {
    const places = after(NOBODY, [task('a'), task('b'), task('c')]);
    assert.deepEqual(ids(places), [['a'], ['b', 'c']]);
    assert.deepEqual(ids(ended(places, 'a')), [['b'], ['c']]);
    assert.deepEqual(ids(ended(places, 'b')), [['a'], ['c']]);
    assert.deepEqual(after(places, [task('a'), task('b')]), places, 'who comes again keeps its place');
  });

  it('are as many as the operator allows', () => {
    assert.deepEqual(ids(after(NOBODY, [task('a'), task('b'), task('c')], 2)), [['a', 'b'], ['c']]);
    const most = writersIn('1,builds=4,any=0');
    assert.deepEqual([most('site'), most('builds'), most('any')], [1, 4, 0]);
  });

  it('conflict for a folder and a folder inside it, but not for sibling folders', () => {
    const places = after(NOBODY, [task('a', 'site/docs'), task('b', 'site/src'), task('c'), task('d', 'site/docs2')]);
    // Nobody passes the one that waits for all of it.
    assert.deepEqual(ids(places), [
      ['a', 'b'],
      ['c', 'd'],
    ]);
    assert.deepEqual(ids(ended(places, 'a')), [['b'], ['c', 'd']]);
    assert.deepEqual(ids(ended(ended(places, 'a'), 'b')), [['c'], ['d']]);
  });

  it('are lent to the task that a writer waits for and to its descendants, one after the other', () => {
    const waiting = after(NOBODY, [task('a'), task('other'), task('child', 'site', ['a'])]);
    assert.deepEqual(ids(waiting), [['a'], ['other', 'child']]);
    const lent = admit(lend(waiting, 'a', 'child', true), 1, UNTIL);
    assert.deepEqual(ids(lent), [['a', 'child'], ['other']]);
    const second = after(admit(lend(lent, 'a', 'child2', true), 1, UNTIL), [task('child2', 'site', ['a'])]);
    assert.deepEqual(ids(second), [
      ['a', 'child'],
      ['other', 'child2'],
    ]);
    assert.deepEqual(ids(ended(second, 'child')), [['a', 'child2'], ['other']]);
    // By a task that works elsewhere.
    const deep = after(lend(after(NOBODY, [task('a')]), 'a', 'elsewhere', true), [
      task('grandchild', 'site', ['a', 'elsewhere']),
    ]);
    assert.deepEqual(ids(deep), [['a', 'grandchild'], []]);
    assert.deepEqual(ids(ended(lend(lent, 'a', 'child', false), 'child')), [['a'], ['other']], 'it is given back');
  });

  it('make a new attempt wait if the earlier attempt had lent its place', () => {
    const lent = after(lend(after(NOBODY, [task('a'), task('other')]), 'a', 'child', true), [
      task('child', 'site', ['a']),
    ]);
    const again = after(lent, [task('a')]);
    assert.deepEqual(ids(again), [['child'], ['a', 'other']]);
    assert.deepEqual(ids(ended(again, 'child')), [['a'], ['other']]);
  });

  it('go to the next in line if an admitted task does not start', () => {
    const places = after(NOBODY, [task('a'), task('b')]);
    const late = moveLate(places, ({ task_id: id }) => id === 'a');
    assert.deepEqual(ids(admit(late, 1, UNTIL)), [['b'], ['a']]);
    assert.deepEqual(
      ids(
        admit(
          moveLate(after(NOBODY, [task('a')]), () => true),
          1,
          UNTIL,
        ),
      ),
      [['a'], []],
    );
  });
});
