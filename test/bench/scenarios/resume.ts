import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { query, type Options, type SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { request } from 'undici';
import { startMessagesStandin } from '../../../src/standin/messages/server.js';
import { startCluster } from '../../fixtures/cluster.js';
import { bareClaude } from '../baselines/bare-claude.js';
import { percentile } from '../measure.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

/** What the transcript of the session holds, about. */
const MB = 1_000_000;

/** Resuming a session of 1 MB with the real claude, from POST to outcome, against the same without KSI, from its own disk. */
export async function resume({ resumes }: BenchOptions): Promise<Result[]> {
  const messages = await startMessagesStandin({ deltaMs: 1, keep: 1 });
  const env = { ANTHROPIC_BASE_URL: messages.url, ANTHROPIC_API_KEY: 'sk-ant-bench-not-a-key' };
  const large = `remember this: ${'lorem ipsum '.repeat(MB / 12)}`;
  const cluster = await startCluster({ ...env, KSI_LOG_LEVEL: 'warn', KSI_CONCURRENCY: '1' });
  const home = await mkdtemp(join(tmpdir(), 'ksi-bench-resume-'));
  try {
    const post = async (prompt: string): Promise<void> => {
      const answer = await request(`${cluster.url}/spawn?wait=120`, {
        method: 'POST',
        headers: { authorization: `Bearer ${cluster.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ prompt, session_id: 'large' }),
      });
      const { status } = (await answer.body.json()) as { status?: string };
      if (status !== 'completed') throw new Error(`a task of the benchmark is ${status}`);
    };
    const sessionId = randomUUID();
    const bare = (prompt: string, first: boolean): Promise<void> =>
      runBare(prompt, bareClaude(home, messages.url), first ? { sessionId } : { resume: sessionId });
    await post(large);
    await bare(large, true);
    // In turns, so that both have the machine as it is at the time.
    const [ksiTimes, bareTimes]: [number[], number[]] = [[], []];
    for (let n = 0; n < resumes; n++) {
      bareTimes.push(await timed(() => bare('go on', false)));
      ksiTimes.push(await timed(() => post('go on')));
    }
    const [ksi, alone] = [ksiTimes, bareTimes].map((times) =>
      percentile(
        times.toSorted((a, b) => a - b),
        0.5,
      ),
    );
    return [
      {
        name: 'resuming a session of 1 MB, POST to outcome, p50',
        unit: 'ms',
        ksi: ksi ?? 0,
        baseline: { name: 'bare claude, resuming it from its own disk', value: alone ?? 0 },
      },
    ];
  } finally {
    await cluster.stop();
    await messages.stop();
    await rm(home, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

type Bare = Pick<Options, 'sessionId' | 'resume'>;

async function runBare(prompt: string, options: Options, session: Bare): Promise<void> {
  const ended = new AbortController();
  async function* input(): AsyncGenerator<SDKUserMessage> {
    yield { type: 'user', message: { role: 'user', content: prompt }, parent_tool_use_id: null };
    if (!ended.signal.aborted) await new Promise((resolve) => ended.signal.addEventListener('abort', resolve));
  }
  const running = query({ prompt: input(), options: { ...options, ...session } });
  for await (const message of running) if (message.type === 'result') ended.abort();
}
