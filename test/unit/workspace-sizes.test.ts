import assert from 'node:assert/strict';
import { it } from 'node:test';
import { sumOf } from '../../src/retention/workspace-sizes.js';

const measured = (place: string, sizes: Record<string, number>) => ({ place, sizes: new Map(Object.entries(sizes)) });

it('the size of a working folder is summed over hosts, and unknown if one host did not measure it', () => {
  const sums = sumOf(
    ['both', 'one', 'late', 'nowhere'],
    [
      measured('host-1 /ksi', { both: 10, late: 5 }),
      // Another worker of the same host and folder, which had more time.
      measured('host-1 /ksi', { both: 10, one: 7 }),
      measured('host-2 /ksi', { both: 20, one: 0 }),
    ],
  );
  assert.deepEqual(
    [...sums],
    [
      ['both', 30],
      ['one', 7],
    ],
  );
});
