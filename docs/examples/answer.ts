import { KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;

// Create one client and share it. The end of this scope closes its connections.
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

// Resolves once the broker has stored the task. From then on, a crash cannot lose it.
const task = await client.spawn({ prompt: 'Say hello', model: 'haiku', max_turns: 3 });

// Yields the text as Claude writes it. A broken connection is resumed with nothing missed or repeated.
for await (const text of task.text()) process.stdout.write(text);

const { output, usage } = await task.result();
console.log(`\n${String(output?.['num_turns'])} turn, $${usage?.cost_usd.toFixed(4)}`);
