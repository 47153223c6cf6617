import { KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

const jobs = ['one', 'two', 'three'].map((name) =>
  // The same key and body again make no second task, for 24 h: safe to run anew after a crash.
  client.spawn({ prompt: `Do job ${name}`, metadata: { batch: 'nightly' } }, { idempotencyKey: `nightly-${name}` }),
);
const done = await Promise.all(jobs.map(async (job) => (await job).result()));
console.log(done.map(({ status }) => status).join(' '));

// Awaited, a list is a page; iterated over, it is all of them.
// A list has no outputs. With `include: 'output'` it does, and a page ends early when its outputs reach 4 MiB.
const { items } = await client.tasks.list({ metadata: 'batch:nightly', limit: 2 });
console.log(`${items.length} of the newest`);
for await (const { prompt_preview } of client.tasks.list({ metadata: 'batch:nightly', limit: 2 }))
  console.log(prompt_preview);

for await (const { queue, tasks, workers } of client.queues.list())
  console.log(`${queue}: ${tasks} tasks, ${workers.length} workers`);
const { total } = await client.usage({ by: 'model' });
console.log(`${total.tasks} tasks ended`);
