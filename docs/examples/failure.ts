import { KsiClient, KsiError, KsiTaskError, KsiUnreachableError } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

async function ask(prompt: string): Promise<string> {
  try {
    // With `await using`, the end of this scope cancels the task unless it has ended. Here, the wait ends after 1 s.
    await using task = await client.spawn({ prompt, timeout_s: 600 });
    const { output } = await task.result({ signal: AbortSignal.timeout(1_000) });
    return String(output?.['result']);
  } catch (error) {
    // The task failed, was cancelled or expired. `error.task` is the task.
    if (error instanceof KsiTaskError) return `the task is ${error.task.status}: ${error.code}`;
    // KSI refused the request. docs/errors.md lists the codes.
    if (error instanceof KsiError) return `refused: ${error.code}`;
    if (error instanceof KsiUnreachableError) return `nobody answers at ${error.url}`;
    // The signal's reason.
    if (error instanceof DOMException && error.name === 'TimeoutError') return 'not done in time';
    throw error;
  }
}

console.log(await ask(''));
console.log(await ask('[[hang]] Think for ever'));

const { task_id } = await client.spawn({ prompt: '[[hang]] Think for ever' });
await client.tasks.cancel(task_id);
await client.tasks
  .handle(task_id)
  .result()
  .catch((error: unknown) => console.log(error instanceof KsiTaskError ? error.message : error));
