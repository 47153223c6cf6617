import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openPage, type Page } from '../fixtures/chromium.js';
import { run, startCluster, type TestCluster } from '../fixtures/cluster.js';
import { serveFiles } from '../fixtures/file-server.js';
import { REPO_ROOT } from '../fixtures/paths.js';
import { without } from '../fixtures/tools.js';

/** What each example of docs/examples prints. */
const EXAMPLES: Readonly<Record<string, RegExp>> = {
  'answer.ts': /hello[\s\S]*\n1 turn, \$0\.\d{4}\n$/i,
  'conversation.ts': /under the mat|what you said before[\s\S]*## User/,
  'failure.ts': /^refused: invalid_request\nnot done in time\nTask \S+ is cancelled \(requested\)\n$/,
  'approvals.ts': /^Claude wants to use Bash: \{"command":"mkdir made".*\}\ncompleted\n$/,
  'events.ts': /^SPAWN_QUEUED\nSPAWN_START\nSPAWN_COMPLETE\n$/,
  'lists.ts':
    /^completed completed completed\n2 of the newest\n(Do job \w+\n){3}default: \d+ tasks, 1 workers\n\d+ tasks ended\n$/,
  'nats.ts': /hello[\s\S]*\nSPAWN_QUEUED\nSPAWN_START\n(SPAWN_MESSAGE\n)+SPAWN_COMPLETE\n$/i,
};

describe('the SDK, at a cluster with the real claude', () => {
  let cluster: TestCluster;
  let files: Awaited<ReturnType<typeof serveFiles>>;
  before(async () => {
    files = await serveFiles(['dist', 'docs/examples']);
    cluster = await startCluster({ KSI_ALLOWED_ORIGINS: files.origin, KSI_LOG_LEVEL: 'warn' }, ['--demo']);
  });
  after(async () => {
    files.stop();
    await cluster.stop();
  });

  it('has examples that are all tried here', () => {
    const there = readdirSync(join(REPO_ROOT, 'docs', 'examples')).filter((name) => name.endsWith('.ts'));
    assert.deepEqual(there.toSorted(), Object.keys(EXAMPLES).toSorted());
  });

  for (const [name, expected] of Object.entries(EXAMPLES))
    it(`runs docs/examples/${name}`, async () => {
      const { nats } = cluster.endpoints as { nats: { url: string } };
      const program = join(REPO_ROOT, 'dist', 'docs', 'examples', name.replace('.ts', '.js'));
      const { code, stdout, stderr } = await run(process.execPath, [program], {
        PATH: process.env['PATH'] ?? '',
        KSI_URL: cluster.url,
        KSI_TOKEN: cluster.token,
        KSI_DIR: cluster.dir,
        KSI_NATS: nats.url,
      });
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      assert.match(stdout, expected);
    });

  describe('in a browser', { skip: without('chromium') }, () => {
    let page: Page;
    before(async () => {
      const hash = new URLSearchParams({ url: cluster.url, token: cluster.token });
      page = await openPage(`${files.origin}/docs/examples/browser.html#${hash.toString()}`);
    });
    after(() => page.stop());

    it('runs docs/examples/browser.html', async () => {
      const shown = await page.evaluate<{ title: string; text: string }>(`new Promise((resolve) => {
        const look = () => document.title === 'KSI' ? setTimeout(look, 50)
          : resolve({ title: document.title, text: document.querySelector('#answer').textContent });
        look();
      })`);
      assert.equal(shown.title, 'completed');
      assert.match(shown.text, /hello/i);
    });

    it('resumes its WebSocket, with a new ticket, with no gap and no repeat; and tells errors by their codes', async () => {
      const pageResult = await page.evaluate<{
        seen: number[];
        past: number[];
        sockets: number;
        errors: string[];
      }>(`(async () => {
        const { KsiClient, isEvent } = await import('/dist/src/client/browser.js');
        const { url, token } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
        const sockets = [];
        globalThis.WebSocket = class extends WebSocket {
          constructor(address) { super(address); sockets.push(this); }
        };
        const client = new KsiClient({ url, token });
        const first = await client.spawn({ prompt: 'one' });
        const seen = [];
        let completed = 0;
        const following = (async () => {
          for await (const message of client.events({ since: first.since })) {
            if (!isEvent(message) || message.data.task_id === undefined) continue;
            seen.push(message.seq);
            if (message.type === 'SPAWN_START') sockets[0].close();
            if (message.type === 'SPAWN_COMPLETE' && ++completed === 2) break;
          }
        })();
        await first.result();
        const second = await client.spawn({ prompt: 'two' });
        await following;
        const past = [];
        for (const { task_id } of [first, second]) for await (const { seq } of client.tasks.pastEvents(task_id)) past.push(seq);
        const code = (error) => error.name + ' ' + (error.code ?? '');
        const errors = [
          await client.spawn({ prompt: '' }).catch(code),
          await new KsiClient({ url, token: 'wrong' }).events().next().catch(code),
          await new KsiClient({ url: 'http://127.0.0.1:1', token, retries: 0 }).tasks.list().catch(code),
        ];
        await client.close();
        return { seen, past, sockets: sockets.length, errors };
      })()`);
      assert.deepEqual(pageResult.seen, pageResult.past);
      assert.ok(pageResult.past.length >= 6);
      assert.ok(pageResult.sockets >= 2, 'it was broken, and opened again');
      assert.deepEqual(pageResult.errors, [
        'KsiError invalid_request',
        'KsiError unauthorized',
        'KsiUnreachableError ',
      ]);
    });
  });
});
