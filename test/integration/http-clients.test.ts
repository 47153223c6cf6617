import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as rawRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Task } from '../../contracts/tasks/task.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { systemClock } from '../../src/clock.js';
import { retry } from '../../src/retry.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { freePort } from '../fixtures/broker.js';

const NGINX = '/usr/sbin/nginx';
const EVENT_STREAM = { accept: 'text/event-stream' };
const JSON_TYPE = { 'content-type': 'application/json' };

/** Reads a stream until it contains `text`. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
  const decoder = new TextDecoder();
  for (let seen = ''; ;) {
    const { done, value } = await reader.read();
    seen += decoder.decode(value, { stream: true });
    if (seen.includes(text)) return seen;
    if (done) throw new Error(`the stream ended without ${text}: ${seen}`);
  }
}

/** Resolves with the answer as it is on the wire: `fetch` would decompress it. */
async function raw(
  url: string,
  headers: Record<string, string>,
): Promise<{ headers: IncomingMessage['headers']; body: Buffer }> {
  const sent = rawRequest(url, { headers: { authorization: `Bearer ${TOKEN}`, ...headers } }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { headers: answer.headers, body: Buffer.concat(await answer.toArray()) };
}

describe('HTTP as generic clients use it', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  it('GET /tasks/:id?wait= waits for the outcome, and answers with the task when the time is up', async () => {
    const task = await lab.spawn();
    const early = await lab.request(`/tasks/${task.task_id}?wait=0.1`);
    assert.equal(early.status, 200);
    assert.equal(early.body['status'], 'queued');
    const waiting = lab.request(`/tasks/${task.task_id}?wait=30`);
    await lab.finish(task);
    assert.equal(((await waiting).body as unknown as Task).status, 'completed');
    assert.equal((await lab.request(`/tasks/${task.task_id}?wait=30`)).body['status'], 'completed');
  });

  it('an ended stream answers 204 after the last event, so that an EventSource stops', async () => {
    const task = await lab.spawn();
    await lab.finish(task);
    const path = `/tasks/${task.task_id}/events`;
    const { body, headers } = await lab.request(path, { headers: EVENT_STREAM });
    assert.equal(headers.get('x-accel-buffering'), 'no');
    assert.match(String(headers.get('cache-control')), /no-transform/);
    const last = [...String(body['text']).matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? '';
    assert.equal((await lab.request(path, { headers: { ...EVENT_STREAM, 'last-event-id': last } })).status, 204);
    assert.equal((await lab.request(`${path}?cursor=${last}`, { headers: EVENT_STREAM })).status, 204);
  });

  it('a ticket opens one event stream without a token, and nothing else', async () => {
    const task = await lab.spawn();
    await lab.finish(task);
    const ticket = async (): Promise<string> =>
      String((await lab.request('/tickets', { method: 'POST' })).body['ticket']);
    const used = `${lab.url}/tasks/${task.task_id}/events?ticket=${await ticket()}`;
    const stream = await fetch(used, { headers: EVENT_STREAM });
    assert.match(await stream.text(), /event: SPAWN_COMPLETE/);
    assert.equal((await fetch(used, { headers: EVENT_STREAM })).status, 401);
    const path = `${lab.url}/tasks/${task.task_id}`;
    assert.equal((await fetch(`${path}/events?ticket=${await ticket()}`)).status, 401);
    assert.equal((await fetch(`${path}?ticket=${await ticket()}`, { headers: EVENT_STREAM })).status, 401);
  });

  it('?deltas=1 adds the text as Claude writes it, without an id to resume from', async () => {
    const task = await lab.spawn();
    const other = await lab.spawn();
    const answer = await fetch(`${lab.url}/tasks/${task.task_id}/events?deltas=1`, {
      headers: { ...EVENT_STREAM, authorization: `Bearer ${TOKEN}` },
    });
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, 'SPAWN_QUEUED');
    const publish = (id: string, text: string): void => {
      const data = { task_id: id, session_id: task.session_id, owner: 'local', attempt: 1, part: 1, offset: 0, text };
      lab.broker.nc.publish(SUBJECT.live(id), JSON.stringify({ v: 1, type: 'SPAWN_DELTA', data }));
    };
    // The API subscribes to deltas shortly after it has sent the stored events, and deltas before that are not sent.
    const publishing = setInterval(() => {
      publish(other.task_id, 'foreign');
      publish(task.task_id, 'partial');
    }, 20);
    const seen = await readUntil(reader, 'partial').finally(() => clearInterval(publishing));
    assert.doesNotMatch(seen, /foreign/);
    assert.match(seen, /event: SPAWN_DELTA\ndata: /);
    await lab.finish(task);
    const rest = await readUntil(reader, 'SPAWN_COMPLETE');
    assert.doesNotMatch(rest, /id: [^\n]*\nevent: SPAWN_DELTA/);
  });

  it('compresses large answers for clients that accept gzip', async () => {
    const task = await lab.spawn();
    await lab.finish(task, 40);
    const url = `${lab.url}/tasks/${task.task_id}/events`;
    const plain = await raw(url, {});
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.match(String(plain.headers.vary), /Accept-Encoding/);
    for (const refused of ['br', 'gzip;q=0', 'identity, *;q=0'])
      assert.equal((await raw(url, { 'accept-encoding': refused })).headers['content-encoding'], undefined, refused);
    const packed = await raw(url, { 'accept-encoding': 'br, gzip' });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.ok(packed.body.length * 2 < plain.body.length);
    assert.deepEqual(gunzipSync(packed.body), plain.body);
    const large = await lab.spawn();
    await lab.finish(large, 0, { result: 'x'.repeat(20_000) });
    const output = await raw(`${lab.url}/tasks/${large.task_id}/output`, { 'accept-encoding': 'gzip' });
    assert.equal(output.headers['content-encoding'], 'gzip');
    assert.deepEqual(JSON.parse(gunzipSync(output.body).toString()), { result: 'x'.repeat(20_000) });
    const stream = await raw(url, { 'accept-encoding': 'gzip', ...EVENT_STREAM });
    assert.equal(stream.headers['content-encoding'], undefined);
  });

  it('answers 304 to If-None-Match with the current ETag', async () => {
    const put = await lab.request('/shared/tagged', {
      method: 'PUT',
      headers: JSON_TYPE,
      body: JSON.stringify({ value: 'x'.repeat(20_000) }),
    });
    const tag = put.headers.get('etag') ?? '';
    for (const header of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const answer = await lab.request('/shared/tagged', { headers: { 'if-none-match': header } });
      assert.equal(answer.status, 304, header);
      assert.equal(answer.headers.get('etag'), tag);
      assert.equal(answer.body['text'], '');
    }
    assert.equal((await lab.request('/shared/tagged', { headers: { 'if-none-match': '"999999"' } })).status, 200);
  });

  it('refuses a compressed body by name', async () => {
    const answer = await lab.request('/spawn', {
      method: 'POST',
      headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
      body: gzipSync('{"prompt":"x"}') as Uint8Array<ArrayBuffer>,
    });
    assert.equal(answer.status, 415);
    assert.match(String(answer.body['detail']), /gzip/);
  });

  it('takes an empty JSON body where none is needed, and names it where one is', async () => {
    const { task_id: id } = await lab.spawn();
    const send = (method: string, path: string) => lab.request(path, { method, headers: JSON_TYPE, body: '' });
    assert.equal((await send('POST', `/tasks/${id}/cancel`)).status, 200);
    assert.equal((await send('POST', '/tickets')).status, 200);
    assert.ok([200, 204].includes((await send('DELETE', `/tasks/${id}`)).status));
    assert.equal((await send('POST', '/dead/retry')).status, 200);
    assert.equal((await lab.request('/dead/retry', { method: 'POST' })).status, 200);
    const missing = await send('POST', '/spawn');
    assert.equal(missing.status, 400);
    assert.match(JSON.stringify(missing.body), /JSON object/);
  });

  it('takes base64 that is broken into lines', async () => {
    const data = Buffer.from('A text with more characters than one line of sixteen.').toString('base64');
    const wrapped = `${data.replace(/.{16}/g, '$&\r\n')}\n`;
    const attachments = [{ name: 'a.txt', media_type: 'text/plain', data: wrapped }];
    assert.equal((await lab.post({ prompt: 'read', attachments })).status, 202);
  });

  it(
    'event streams pass nginx with its default buffering as they happen',
    { skip: existsSync(NGINX) ? false : 'nginx is not installed: apt-get install nginx-light' },
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'ksi-nginx-'));
      const port = await freePort();
      await writeFile(
        join(dir, 'nginx.conf'),
        `daemon off; master_process off; pid ${dir}/pid; error_log stderr;
         events {}
         http {
           access_log off; gzip on; gzip_proxied any; gzip_types text/event-stream;
           client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi;
           uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
           server { listen 127.0.0.1:${port}; location / { proxy_pass ${lab.url}; } }
         }`,
      );
      const nginx: ChildProcess = spawn(NGINX, ['-p', dir, '-e', 'stderr', '-c', join(dir, 'nginx.conf')], {
        stdio: 'ignore',
      });
      try {
        const task = await lab.spawn();
        const url = `http://127.0.0.1:${port}/tasks/${task.task_id}/events`;
        const signal = AbortSignal.timeout(15_000);
        const headers = { ...EVENT_STREAM, authorization: `Bearer ${TOKEN}` };
        // The first requests find no listener yet.
        const answer = await retry(() => fetch(url, { headers, signal }), {
          clock: systemClock,
          pauseMs: 50,
          signal,
          onFailure: () => assert.equal(nginx.exitCode, null),
        });
        assert.equal(answer.status, 200);
        const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
        await readUntil(reader, 'SPAWN_QUEUED');
        await lab.finish(task);
        await readUntil(reader, 'SPAWN_COMPLETE');
      } finally {
        nginx.kill();
        if (nginx.exitCode === null && nginx.signalCode === null) await once(nginx, 'exit');
        await rm(dir, { recursive: true, force: true });
      }
    },
  );
});
