import { it } from 'node:test';
import { smokeBench } from '../fixtures/bench.js';

it('the benchmark of sessions, readers and agents runs, small, to its table and its JSON', () =>
  smokeBench(
    ['resume', 'warm', 'fan-out', 'memory', 'agents'],
    ['frames', 'idle memory', 'messages between agents', '4 managed agents'],
  ));
