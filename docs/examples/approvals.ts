import { KsiClient } from 'ksi';

const { KSI_URL = 'http://127.0.0.1:8000', KSI_TOKEN = '' } = process.env;
await using client = new KsiClient({ url: KSI_URL, token: KSI_TOKEN });

// With `approvals`, Claude asks for permission where it would otherwise be denied.
const task = await client.spawn({ prompt: '[[tool:Bash {"command":"mkdir made"}]] Tidy up', approvals: true });

for await (const { type, data } of task.events()) {
  if (type !== 'APPROVAL_REQUESTED') continue;
  console.log(`Claude wants to use ${String(data['tool'])}: ${JSON.stringify(data['input'])}`);
  await task.approve(String(data['approval_id']), { decision: 'deny', message: 'Not today' });
}
console.log((await task.result()).status);
