import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KsiNatsClient } from 'ksi/nats';

const { KSI_DIR = '.ksi', KSI_NATS = 'nats://127.0.0.1:4222' } = process.env;

// The same resources, over a direct connection to the broker.
await using client = new KsiNatsClient({
  servers: KSI_NATS,
  credentials: await readFile(join(KSI_DIR, 'nats', 'operator.nk'), 'utf8'),
  inboxPrefix: '_INBOX_operator',
});

const task = await client.spawn({ prompt: 'Say hello' });
let text = '';
for await (const piece of task.text()) text += piece;
console.log(text);
for await (const { type } of client.tasks.events(task.task_id)) console.log(type);
