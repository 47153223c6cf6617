import { KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

const jobs = ['one', 'two', 'three'].map((name) =>
  // For 24 h, a request with the same key and body creates no second task, so this program can run again after a crash.
  client.spawn({ prompt: `Do job ${name}`, metadata: { batch: 'nightly' } }, { idempotencyKey: `nightly-${name}` }),
);
const done = await Promise.all(jobs.map(async (job) => (await job).result()));
console.log(done.map(({ status }) => status).join(' '));

// `await` gives the first page; `for await` yields the items of all pages.
// With `include: 'output'`, the tasks have their outputs. Then a page ends early if its outputs reach 4 MiB.
const { items } = await client.tasks.list({ metadata: 'batch:nightly', limit: 2 });
console.log(`${items.length} of the newest`);
for await (const { prompt_preview } of client.tasks.list({ metadata: 'batch:nightly', limit: 2 }))
  console.log(prompt_preview);

for await (const { queue, tasks, workers } of client.queues.list())
  console.log(`${queue}: ${tasks} tasks, ${workers.length} workers`);
const { total } = await client.usage({ by: 'model' });
console.log(`${total.tasks} tasks ended`);
