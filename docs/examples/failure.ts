import { KsiClient, KsiError, KsiTaskError, KsiUnreachableError } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

async function ask(prompt: string): Promise<string> {
  try {
    // `await using` a task: if we leave before its end, here after 1 s, it is cancelled and costs nothing more.
    await using task = await client.spawn({ prompt, timeout_s: 600 });
    const { output } = await task.result({ signal: AbortSignal.timeout(1_000) });
    return String(output?.['result']);
  } catch (error) {
    // It ran, and failed or was cancelled: `error.task` has all that is known of it.
    if (error instanceof KsiTaskError) return `the task is ${error.task.status}: ${error.code}`;
    // KSI refused the request: `error.code` is one of docs/errors.md.
    if (error instanceof KsiError) return `refused: ${error.code}`;
    if (error instanceof KsiUnreachableError) return `nobody answers at ${error.url}`;
    // The signal's own reason.
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
