import type { SessionStoreEntry } from '@anthropic-ai/claude-agent-sdk';
import { sleep } from '../../src/clock.js';
import type { ClaudeEnding } from '../../workers/claude/ending.js';
import type { ClaudeRun } from '../../workers/claude/run.js';
import type { ClaudeRunRecord, Chronicle } from './chronicle.js';
import { EPOCH, type SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

/** Within it a process that is told to stop does so, or is killed. */
const KILLED_WITHIN_MS = 2_000;

export interface ClaudeWorld {
  readonly scheduler: Scheduler;
  readonly pace: number;
  readonly record: Chronicle;
  readonly process: SimProcess;
  /** The task that the run is of, by its prompt. */
  readonly taskOf: (prompt: string) => string;
  readonly excused: (taskId: string) => () => boolean;
  /** It takes its worker down whenever it runs. */
  readonly poisonous: (taskId: string) => boolean;
}

const ended = { stderr: '', stdout: '' };
const answered = (result: object): ClaudeEnding => ({
  ...ended,
  result: { type: 'result', subtype: 'success', is_error: false, result: 'done', ...result },
});

async function promptOf({ input }: ClaudeRun): Promise<string> {
  const { value } = await input.messages().next();
  return String((value as { message: { content: unknown } }).message.content);
}

/** Claude, with seeded outcomes: success, overload, a named time, a crash, a hang, a request that is not valid. */
export async function simClaude(run: ClaudeRun, world: ClaudeWorld): Promise<ClaudeEnding> {
  const { scheduler, record, process } = world;
  const { random } = scheduler;
  const taskId = world.taskOf(await promptOf(run));
  const ofSignal = { ...ended, exit: { code: null, signal: 'SIGKILL' as const } };
  // As the real one: not even begun.
  if (run.signal.aborted) return ofSignal;
  const mine: ClaudeRunRecord = {
    taskId,
    sessionId: run.sessionId,
    worker: process.name,
    begunAt: scheduler.now,
    messages: 0,
    over: undefined,
    excused: world.excused(taskId),
    resetsAt: undefined,
  };
  const over = (): void => {
    if (mine.over !== undefined) return;
    mine.over = scheduler.now;
    record.say(() => `${process.name} ends Claude for ${taskId}`);
  };
  record.claude.push(mine);
  record.say(() => `${process.name} begins Claude for ${taskId}`);
  process.onDeath(over);
  run.signal.addEventListener('abort', over);
  try {
    checkTranscript((await run.transcript.load({ projectKey: '', sessionId: run.sessionId })) ?? [], taskId, record);
    const messages = Math.floor(random() * 9);
    for (let index = 0; index < messages; index++) {
      await sleep(process, world.pace * (20 + 12_000 * random() ** 4), run.signal);
      await append(run, taskId);
      await run.gate();
      mine.messages++;
      run.onMessage({ type: 'assistant', message: { id: `${index}` } });
    }
    await sleep(process, world.pace * (5 + 25_000 * random() ** 5), run.signal);
    if (world.poisonous(taskId)) process.kill();
    return await ending(run, mine, world);
  } catch (error) {
    if (!run.signal.aborted) {
      if (run.transcript.failure === undefined) throw error;
      return { ...ended, transcriptError: run.transcript.failure };
    }
    await sleep(process, KILLED_WITHIN_MS * random() ** 3);
    // What it still says while it is being ended must not count.
    if (random() < 0.3) run.onMessage({ type: 'assistant', message: { id: 'late' } });
    if (random() < 0.3) await append(run, taskId).catch(() => undefined);
    return ofSignal;
  } finally {
    over();
  }
}

async function ending(
  run: ClaudeRun,
  mine: ClaudeRunRecord,
  { scheduler, process }: ClaudeWorld,
): Promise<ClaudeEnding> {
  const { random } = scheduler;
  const chance = random();
  if (chance < 0.6) return answered({});
  if (chance < 0.7) return answered({ is_error: true, api_error_status: 529 });
  if (chance < 0.8) {
    mine.resetsAt = Math.round(EPOCH + scheduler.now + 1_000 + 60_000 * random() ** 2);
    return { ...answered({ is_error: true, api_error_status: 429 }), limitResetsAt: mine.resetsAt };
  }
  if (chance < 0.9) return { ...ended, exit: { code: 1, signal: null } };
  if (chance < 0.95) return answered({ is_error: true, api_error_status: 400 });
  // It hangs until somebody ends it.
  await sleep(process, 86_400_000, run.signal);
  return ended;
}

async function append(run: ClaudeRun, taskId: string): Promise<void> {
  const entry = { type: 'user', task: taskId } as unknown as SessionStoreEntry;
  await run.transcript.append({ projectKey: '', sessionId: run.sessionId }, [entry]);
}

/** An attempt resumes from before its task's first one: what a lost one wrote is void. */
function checkTranscript(entries: readonly SessionStoreEntry[], taskId: string, record: Chronicle): void {
  const tasks = entries.map((entry) => (entry as unknown as { task: string }).task);
  if (tasks.includes(taskId)) record.violate(`the transcript holds ${taskId} before it begins`);
  for (const { event, at, taskId: other } of record.events) {
    if (
      event.type !== 'SPAWN_COMPLETE' ||
      record.posted.get(other)?.session_id !== record.posted.get(taskId)?.session_id
    )
      continue;
    const wrote = record.runAt(other, at)?.messages ?? 0;
    const found = tasks.filter((task) => task === other).length;
    if (found !== wrote) record.violate(`the transcript holds ${found} entries of ${other}, which wrote ${wrote}`);
  }
}
