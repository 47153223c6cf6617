import { isEvent, KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

const stop = new AbortController();
const { task_id, since } = await client.spawn({ prompt: 'Say hello' });

// Every change of state of every task that the token may see. Keep the cursor: it goes on where you were, after a restart of yours, too.
let cursor = since;
for await (const message of client.events({
  subjects: ['ksi.events.task.*.state.*'],
  since: cursor,
  signal: stop.signal,
  onRetry: (error) => console.error(`${error.message}; trying again`),
})) {
  // What retention has taken is said, and partial text comes when a pattern below `ksi.live.` asks for it.
  if (!isEvent(message)) continue;
  cursor = message.cursor;
  if (message.data['task_id'] !== task_id) continue;
  console.log(message.type);
  if (message.type === 'SPAWN_COMPLETE') stop.abort();
}
