import { isEvent, KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

const { task_id, since } = await client.spawn({ prompt: 'Say hello' });

// Yields the state events of all tasks that the token may see. Store the cursor to continue from it, even after a restart of your program.
let cursor = since;
for await (const message of client.events({
  subjects: ['ksi.events.task.*.state.*'],
  since: cursor,
  onRetry: (error) => console.error(`${error.message}; trying again`),
})) {
  // Skips gaps. With a subject that starts with `ksi.live.`, there would be deltas too.
  if (!isEvent(message)) continue;
  cursor = message.cursor;
  if (message.data['task_id'] !== task_id) continue;
  console.log(message.type);
  if (message.type === 'SPAWN_COMPLETE') break;
}
