import type { Check } from './check.js';

export const leftProcesses: Check = {
  title: 'processes left behind',
  violations: ({ leftovers }) => leftovers.map(({ what, pids }) => `${what}: ${pids.join(', ')}`),
};
