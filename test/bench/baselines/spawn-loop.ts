import { spawn } from 'node:child_process';
import { CLAUDE_STANDIN } from '../../fixtures/paths.js';
import { percentile } from '../measure.js';

/** The baseline of running: the stand-in executable started in a bare loop, given one prompt, and waited for. */
export async function spawnLoop(options: {
  runs: number;
  parallel: number;
}): Promise<{ perSecond: number; p50Ms: number; p99Ms: number }> {
  const times: number[] = [];
  let begunRuns = 0;
  const begun = performance.now();
  const runPriority = async (): Promise<void> => {
    while (begunRuns++ < options.runs) {
      const at = performance.now();
      await once();
      times.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, runPriority));
  const seconds = (performance.now() - begun) / 1_000;
  times.sort((a, b) => a - b);
  return { perSecond: times.length / seconds, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
}

const TURN = `${JSON.stringify({ type: 'user', message: { role: 'user', content: 'bench' }, parent_tool_use_id: null, session_id: '' })}\n`;

const once = (): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [CLAUDE_STANDIN, '--print', '--input-format', 'stream-json', '--output-format', 'stream-json'],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
      },
    );
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the stand-in ended with ${code}`))));
    child.stdin.end(TURN);
  });
