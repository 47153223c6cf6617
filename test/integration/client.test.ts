import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnDelta } from '../../contracts/events/events.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import {
  isEvent,
  KsiClient,
  KsiError,
  KsiTaskError,
  KsiUnreachableError,
  type KsiApi,
  type SpawnedTask,
} from '../../src/client/index.js';
import { KsiNatsClient } from '../../src/client/nats/index.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { systemClock } from '../../src/clock.js';

const NATS_CLIENT = new URL('../../src/client/nats/index.js', import.meta.url).href;

/** The ways to a cluster: which client, and how what it is connected to goes away and comes back. */
const WAYS = [
  {
    name: 'HTTP',
    make: (lab: ApiLab): KsiApi => new KsiClient({ url: lab.url, token: TOKEN }),
    breakOff: async (lab: ApiLab): Promise<void> => {
      await lab.stopApi();
      await lab.startApi();
    },
  },
  {
    name: 'NATS',
    make: (lab: ApiLab): KsiApi => new KsiNatsClient({ servers: lab.server.url }),
    breakOff: async (lab: ApiLab): Promise<void> => {
      await lab.server.kill();
      await lab.server.restart();
    },
  },
] as const;

for (const { name, make, breakOff } of WAYS)
  describe(`the client over ${name}`, () => {
    let lab: ApiLab;
    let client: KsiApi;
    before(async () => {
      lab = await ApiLab.start();
      client = make(lab);
    });
    after(async () => {
      await client.close();
      await lab.stop();
    });

    /** Plays a worker: what it publishes for a task, in order. */
    const worker = (task: SpawnedTask) => {
      const common = { task_id: task.task_id, session_id: task.session_id, owner: 'local' };
      let n = 0;
      const attempt = () => ({ ...common, attempt: 1, n: ++n });
      const publish = (event: Parameters<typeof eventPublication>[0], subject: string) =>
        lab.broker.publisher.publish(eventPublication(event, subject));
      return {
        start: () =>
          publish(
            newEvent(systemClock, 'SPAWN_START', {
              ...attempt(),
              worker_id: 'w',
              host: 'h',
              transcript_seq: 0,
              run: { seq: 1, delivery: 1 },
            }),
            SUBJECT.taskState(task.task_id, 'start'),
          ),
        delta: (part: number, offset: number, text: string) => {
          const data = { ...common, attempt: 1, part, offset, text };
          const delta: SpawnDelta = {
            v: FORMAT_VERSION,
            type: 'SPAWN_DELTA',
            timestamp: new Date().toISOString(),
            data,
          };
          lab.broker.nc.publish(SUBJECT.live(task.task_id), JSON.stringify(delta));
        },
        say: (text: string) =>
          publish(
            newEvent(systemClock, 'SPAWN_MESSAGE', {
              ...attempt(),
              message: { type: 'assistant', message: { content: [{ type: 'text', text }] } },
            }),
            SUBJECT.taskOutput(task.task_id),
          ),
        complete: (result: string) =>
          publish(
            newEvent(systemClock, 'SPAWN_COMPLETE', { ...attempt(), output: { result } }),
            SUBJECT.taskState(task.task_id, 'complete'),
          ),
      };
    };

    it('gives the text as it is written, fills in what was missed, and ends with the task', async () => {
      const task = await client.spawn({ prompt: 'x', session_id: 'text' });
      const { start, delta, say, complete } = worker(task);
      const pieces: string[] = [];
      const reading = (async () => {
        for await (const piece of task.text()) pieces.push(piece);
      })();
      await start();
      // Until somebody listens: what is published before is missed, and filled in by the message.
      while (pieces.length === 0) {
        delta(0, 0, 'Hel');
        await lab.broker.nc.flush();
      }
      delta(0, 9, 'never in its place');
      await say('Hello.');
      await say('And more.');
      const finished = task.result();
      await complete('And more.');
      await reading;
      assert.equal(pieces[0], 'Hel');
      assert.equal(pieces.join(''), 'Hello.\n\nAnd more.');
      const { status, output, session_name: name } = await finished;
      assert.deepEqual([status, output?.['result'], name], ['completed', 'And more.', 'text']);
      assert.equal((await client.tasks.handle(task.task_id).result()).status, 'completed');
      let again = '';
      for await (const piece of client.tasks.handle(task.task_id).text()) again += piece;
      assert.equal(again, 'Hello.\n\nAnd more.');
    });

    it('throws what became of a task that is not completed, and cancels one that is left', async () => {
      const task = await client.spawn({ prompt: 'x' });
      {
        await using left = client.tasks.handle(task.task_id, { since: task.since });
        assert.equal((await left.get()).status, 'queued');
      }
      await assert.rejects(task.result(), (error) => {
        assert.ok(error instanceof KsiTaskError);
        return error.code === 'cancelled' && error.task.reason === 'requested' && error.task.task_id === task.task_id;
      });
      await assert.rejects(
        client.tasks.handle('01a20820-6481-721d-9f79-db9f581717f0').result(),
        (error) => error instanceof KsiError && error.code === 'not_found',
      );
      await task[Symbol.asyncDispose]();
    });

    it('stops waiting when it is told to, with the reason', async () => {
      const task = await client.spawn({ prompt: 'x' });
      const stop = new AbortController();
      const waiting = task.result({ signal: stop.signal });
      stop.abort(new Error('enough'));
      await assert.rejects(waiting, /enough/);
      await task.cancel();
    });

    it('gives a page of a list, or all of it', async () => {
      for (let n = 0; n < 3; n++) await client.spawn({ prompt: String(n), session_id: 'listed' });
      const query = { session_id: 'listed', limit: 2 };
      assert.equal((await client.tasks.list(query)).items.length, 2);
      const seen: string[] = [];
      for await (const { prompt_preview: prompt } of client.tasks.list(query)) seen.push(prompt);
      assert.deepEqual(seen, ['2', '1', '0']);
      const { items: queues } = await client.queues.list();
      assert.deepEqual([queues[0]?.queue, queues[0]?.waiting], ['default', 2]);
      assert.equal((await client.health()).broker.connected, true);
    });

    it('says an error of KSI by its code, and gives nothing for what is gone', async () => {
      const task = await client.spawn({ prompt: 'x' });
      await assert.rejects(client.tasks.delete(task.task_id), { name: 'KsiError', code: 'not_ended', status: 409 });
      await assert.rejects(client.spawn({ prompt: '' }), { code: 'invalid_request', status: 400 });
      await task.cancel();
      assert.equal(await client.tasks.delete(task.task_id), undefined);
      const twice = { idempotencyKey: `once-${name}` };
      const [first, second] = [await client.spawn({ prompt: 'x' }, twice), await client.spawn({ prompt: 'x' }, twice)];
      assert.equal(first.task_id, second.task_id);
      assert.match(await client.sessions.transcript(first.session_id, { format: 'markdown' }), /^# /);
    });

    it('follows a task and all events through a break of its connection, with no gap and no repeat', async () => {
      const task = await client.spawn({ prompt: 'x' });
      const stop = new AbortController();
      const all: number[] = [];
      const following = (async () => {
        for await (const message of client.events({ signal: stop.signal, since: task.since }))
          if (isEvent(message)) all.push(message.seq);
      })();
      const events = task.events();
      const types = [(await events.next()).value?.type];
      const { start, say, complete } = worker(task);
      await start();
      await say('Hello.');
      const pieces = task.text();
      let text = String((await pieces.next()).value);
      types.push((await events.next()).value?.type);
      await breakOff(lab);
      while (!lab.broker.connected()) await new Promise((resolve) => setImmediate(resolve));
      await say('Hello again.');
      await complete('Hello again.');
      for await (const { type } of events) types.push(type);
      assert.deepEqual(types, ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_MESSAGE', 'SPAWN_MESSAGE', 'SPAWN_COMPLETE']);
      for await (const piece of pieces) text += piece;
      assert.equal(text, 'Hello.\n\nHello again.');
      const past: number[] = [];
      for await (const { seq, type } of client.tasks.pastEvents(task.task_id)) {
        past.push(seq);
        assert.equal(type, types[past.length - 1]);
      }
      while (!all.includes(past.at(-1) ?? 0)) await new Promise((resolve) => setImmediate(resolve));
      stop.abort(new Error('enough'));
      await assert.rejects(following, { message: 'enough' });
      assert.deepEqual(all.slice(0, 5), past);
      const again: string[] = [];
      for await (const { type } of client.tasks.events(task.task_id)) again.push(type);
      assert.deepEqual(again, types, 'and of a task that has ended, to its end');
      for await (const event of client.tasks.events(task.task_id, { since: String(past.at(-1)) }))
        assert.fail(event.type);
    });

    it('makes many calls at once without a warning', async () => {
      const warnings: Error[] = [];
      const warned = (warning: Error): void => void warnings.push(warning);
      process.on('warning', warned);
      const { signal } = new AbortController();
      await Promise.all(Array.from({ length: 40 }, () => client.tasks.list({ limit: 1 }, { signal })));
      await new Promise((resolve) => setImmediate(resolve));
      process.off('warning', warned);
      assert.deepEqual(warnings, []);
    });

    if (name === 'NATS')
      it('repeats a request at once that a killed broker has swallowed, and does not keep the process alive', async () => {
        const { signal } = new AbortController();
        await client.tasks.list({ limit: 1 });
        lab.server.pause();
        const started = performance.now();
        const listing = Promise.resolve(client.tasks.list({ limit: 1 }, { signal }));
        await new Promise((resolve) => setTimeout(resolve, 50)); // The request is in the socket of the broker.
        await breakOff(lab);
        assert.ok((await listing).items.length > 0);
        assert.ok(performance.now() - started < 25_000, 'it did not wait for the timeout of the request');
        const program = `import { KsiNatsClient } from ${JSON.stringify(NATS_CLIENT)};
          console.log((await new KsiNatsClient({ servers: process.argv[1] }).tasks.list({ limit: 1 })).items.length);`;
        const node = spawn(process.execPath, ['--input-type=module', '-e', program, lab.server.url], {
          stdio: ['ignore', 'pipe', 'inherit'],
          timeout: 20_000,
        });
        assert.deepEqual(await Promise.all([once(node, 'close'), node.stdout.toArray().then(String)]), [
          [0, null],
          '1\n',
        ]);
      });

    it('closed, ends what is open and does no more', async () => {
      const closing = make(lab);
      const task = await closing.spawn({ prompt: 'x' });
      const waiting = assert.rejects(task.result(), { name: 'AbortError' });
      const asked = closing.events();
      const ended = assert.rejects(asked.next(), { name: 'AbortError' });
      await task.get();
      await closing.close();
      await waiting;
      await ended;
      await assert.rejects(closing.tasks.list(), { name: 'AbortError' });
      await closing.close();
      await client.tasks.cancel(task.task_id);
    });
  });

it('nobody at the address is told at once', async () => {
  await using http = new KsiClient({ url: 'http://127.0.0.1:1', token: 'x' });
  await assert.rejects(http.tasks.list(), KsiUnreachableError);
  await using nats = new KsiNatsClient({ servers: 'nats://127.0.0.1:1', retries: 0 });
  await assert.rejects(nats.tasks.list(), KsiUnreachableError);
});
