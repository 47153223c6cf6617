import { KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

// You choose the name of a session. Its tasks run one at a time, in order, on any free worker.
const session_id = 'sdk-example';
await (await client.spawn({ session_id, prompt: 'Remember: the key is under the mat' })).result();
const { output } = await (await client.spawn({ session_id, prompt: 'Where is the key?' })).result();
console.log(output?.['result']);

// A fork starts a new session from the transcript. The original session does not change.
const fork = await client.spawn({ session_id, fork: true, prompt: 'And if it rains?' });
await fork.result();

console.log(await client.sessions.transcript(session_id, { format: 'markdown' }));
for (const id of [session_id, fork.session_id]) await client.sessions.delete(id);
