import { KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;

// One client for all you do: its connections are pooled, and closed at the end of this scope.
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

// Resolves once the broker has stored the task: nothing loses it any more.
const task = await client.spawn({ prompt: 'Say hello', model: 'haiku', max_turns: 3 });

// The text as Claude writes it; a broken connection is resumed with nothing missed and nothing twice.
for await (const text of task.text()) process.stdout.write(text);

const { output, usage } = await task.result();
console.log(`\n${String(output?.['num_turns'])} turn, $${usage?.cost_usd.toFixed(4)}`);
