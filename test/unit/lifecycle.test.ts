import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { partsOf, serviceOf, type Lifecycle } from '../../src/process/lifecycle.js';
import { silent } from '../fixtures/connection.js';

const nothing = async (): Promise<void> => undefined;

describe('a service of several parts', () => {
  it('stops the started parts if its start fails, and reports the first error even if a part cannot be stopped', async () => {
    const logged: unknown[] = [];
    const stopped: string[] = [];
    const fault = new Error('the broker is away');
    const full = new Error('the disk is full');
    const build = async (lifecycle: Lifecycle): Promise<object> => {
      lifecycle.add({ stop: async () => stopped.push('first') });
      lifecycle.add({ stop: async () => Promise.reject(full) });
      throw fault;
    };
    await assert.rejects(serviceOf({ error: (...args: unknown[]) => logged.push(...args) }, build), fault);
    assert.deepEqual(stopped, ['first']);
    assert.deepEqual((logged[0] as { err: AggregateError }).err.errors, [full]);
  });

  it('stops its parts in reverse order', async () => {
    const stopped: string[] = [];
    const service = await serviceOf(silent, async (lifecycle) => {
      for (const name of ['first', 'second']) lifecycle.add({ stop: async () => stopped.push(name) });
      return { name: 'service' };
    });
    await service.stop();
    assert.deepEqual([service.name, ...stopped], ['service', 'second', 'first']);
  });
});

describe('the parts of several services', () => {
  it('are one object without the start and stop methods', () => {
    const parts = partsOf({ tail: 1, stop: nothing, run: nothing }, { audit: 2, stop: nothing });
    assert.deepEqual({ ...parts }, { tail: 1, audit: 2 });
  });

  it('do not hide each other', () => {
    assert.throws(() => partsOf({ tail: 1, stop: nothing }, { tail: 2, stop: nothing }), /tail/);
  });
});
