import { it } from 'node:test';
import { smokeBench } from '../fixtures/bench.js';

it('the benchmark of tasks runs, small, to its table and its JSON', () =>
  smokeBench(
    ['accept', 'latency', 'hand-over', 'throughput', 'backlog', 'deletion'],
    ['accepted spawns', 'POST to outcome', 'from the end', 'tasks', 'deletion by filter'],
  ));
