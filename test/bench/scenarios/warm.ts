import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { query, startup, type Query } from '@anthropic-ai/claude-agent-sdk';
import { startMessagesStandin } from '../../../src/standin/messages/server.js';
import { bareClaude } from '../baselines/bare-claude.js';
import { percentile } from '../measure.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

/** What of the time to the first token is the executable's start: with a process that waits already (`startup()`), and one that doesn't; and what the waiting one takes. */
export async function warm({ resumes: runs }: BenchOptions): Promise<Result[]> {
  const messages = await startMessagesStandin({ deltaMs: 1, keep: 1 });
  const home = await mkdtemp(join(tmpdir(), 'ksi-bench-warm-'));
  let pid = 0;
  const options = bareClaude(home, messages.url, (started) => (pid = started));
  try {
    const [cold, waiting]: [number[], number[]] = [[], []];
    let kB = 0;
    for (let n = 0; n < runs; n++) {
      cold.push(await firstToken(() => query({ prompt: 'hello', options })));
      const ready = await startup({ options });
      kB = Math.max(kB, await residentKb(pid));
      waiting.push(await firstToken(() => ready.query('hello')));
    }
    const [coldMs, warmMs] = [cold, waiting].map((times) =>
      percentile(
        times.toSorted((a, b) => a - b),
        0.5,
      ),
    );
    return [
      {
        name: 'first token of claude that was started before, p50',
        unit: 'ms',
        ksi: warmMs ?? 0,
        baseline: { name: 'of one that is started for it', value: coldMs ?? 0 },
      },
      { name: 'memory of a claude that waits', unit: 'MB', ksi: kB / 1_024, note: 'one a place of a worker' },
    ];
  } finally {
    await messages.stop();
    await rm(home, { recursive: true, force: true });
  }
}

async function firstToken(begin: () => Query): Promise<number> {
  const begun = performance.now();
  let first: number | undefined;
  for await (const message of begin()) if (message.type === 'stream_event') first ??= performance.now() - begun;
  return first ?? Number.NaN;
}

async function residentKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}
