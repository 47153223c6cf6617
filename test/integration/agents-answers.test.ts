import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageRequest } from '../../contracts/agents/messages.js';
import { CONSUMER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { AnswerSender } from '../../src/agents/answer-sender.js';
import type { InternalFields } from '../../src/agents/message-sender.js';
import { MessageIdIndex } from '../../src/agents/message-id-index.js';
import { ApiError } from '../../src/errors/api-error.js';
import { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest, silent } from '../fixtures/connection.js';
import { systemClock } from '../../src/clock.js';

describe('answers of managed agents', () => {
  let server: TestBroker;
  let broker: Broker;
  before(async () => {
    server = await startTestBroker();
    broker = await connectTest(server.url);
  });
  after(async () => {
    await broker.close();
    await server.stop();
  });

  it('that are refused for good are reported under the same id, and are not retried for ever', async () => {
    const sent: { request: MessageRequest; within: InternalFields | undefined }[] = [];
    const answers = new AnswerSender({
      broker,
      blobs: new Blobs(broker),
      messageSender: {
        send: (request, _by, within) => {
          sent.push({ request, within });
          if (sent.length === 1) return Promise.reject(new ApiError('body_too_large', 'It is too long'));
          return Promise.resolve({ message_id: '', status: 'queued', copies: [], since: '' });
        },
      },
      tasks: { principal: (owner) => ({ owner, tokenId: 't', scopes: new Set(), seesAll: false }) },
      ending: { end: () => Promise.resolve() },
      log: silent,
    });
    const task = { task_id: 'task', session_id: 'session', owner: 'local', agent_id: 'bob' };
    const message = { message_id: 'm', type: 'DIRECT_MESSAGE', from: 'ann', hops: 0 };
    const about = { ...task, queue: 'default', priority: 'normal', prompt_preview: '' } as const;
    for (const [event, { token }] of [
      [newEvent(systemClock, 'SPAWN_QUEUED', { ...about, message }), TASK_STATES.queued],
      [newEvent(systemClock, 'SPAWN_CANCELLED', { ...task, reason: 'requested' }), TASK_STATES.cancelled],
    ] as const)
      await broker.publisher.publish(eventPublication(event, SUBJECT.taskState('task', token)));
    answers.start();
    const info = (): ReturnType<Broker['jsm']['consumers']['info']> =>
      broker.jsm.consumers.info(STREAM.outcomes, CONSUMER.answers);
    for (let { ack_floor: floor } = await info(); floor.consumer_seq < 1; { ack_floor: floor } = await info())
      await sleep(20);
    await answers.stop();
    assert.equal(sent.length, 2);
    const [refused, sentMessage] = sent;
    assert.equal(sentMessage?.request.message_id, refused?.request.message_id);
    assert.deepEqual([sentMessage?.request.to, sentMessage?.request.reply_to], ['ann', 'm']);
    assert.match(sentMessage?.request.content ?? '', /could not be sent: It is too long/);
    assert.equal(sentMessage?.within?.error?.code, 'body_too_large');
  });

  it('carry a reference to an output that is too large for a message', async () => {
    const sent: { request: MessageRequest; within: InternalFields | undefined }[] = [];
    const answers = new AnswerSender({
      broker,
      blobs: new Blobs(broker),
      messageSender: {
        send: (request, _by, within) => {
          sent.push({ request, within });
          return Promise.resolve({ message_id: '', status: 'queued', copies: [], since: '' });
        },
      },
      tasks: { principal: (owner) => ({ owner, tokenId: 't', scopes: new Set(), seesAll: false }) },
      ending: { end: () => Promise.resolve() },
      log: silent,
    });
    const task = { task_id: 'large', session_id: 's-large', owner: 'local', agent_id: 'bob' };
    const message = { message_id: 'm2', type: 'DIRECT_MESSAGE', from: 'ann', hops: 0 };
    const about = { ...task, queue: 'default', priority: 'normal', prompt_preview: '' } as const;
    // The body is not read: it need not be there.
    const ref = { name: 'event/large/e', size: 5 * 1_048_576 };
    for (const [event, { token }] of [
      [newEvent(systemClock, 'SPAWN_QUEUED', { ...about, message }), TASK_STATES.queued],
      [newEvent(systemClock, 'SPAWN_COMPLETE', { ...task, attempt: 1, n: 2, ref }), TASK_STATES.completed],
    ] as const)
      await broker.publisher.publish(eventPublication(event, SUBJECT.taskState('large', token)));
    answers.start();
    while (sent.length === 0) await sleep(20);
    await answers.stop();
    assert.equal(sent.length, 1);
    assert.match(sent[0]?.request.content ?? '', /^The answer has 5242880 bytes/);
    assert.deepEqual(sent[0]?.within?.output_ref, ref);
    assert.equal(sent[0]?.within?.task_id, 'large');
  });

  it('are found among messages that were already read, and otherwise only in later ones', async () => {
    const subject = SUBJECT.agentMessage('ann', 'DIRECT_MESSAGE');
    const send = async (id: string, owner = 'local'): Promise<number> => {
      const event = {
        ...newEvent(systemClock, 'AGENT_MESSAGE', { message_id: id, type: 'DIRECT_MESSAGE', owner, hops: 0 }),
        id,
      };
      return (await broker.publisher.publish(eventPublication(event, subject))).seq;
    };
    const first = await send('first');
    for (let n = 0; n < 20; n++) await send(`m${n}`);
    let pages = 0;
    const { direct } = broker.jsm;
    const counting = Object.create(direct, {
      getBatch: {
        value: (...args: Parameters<typeof direct.getBatch>) => {
          pages++;
          return direct.getBatch(...args);
        },
      },
    }) as typeof direct;
    const jsm = Object.create(broker.jsm, { direct: { value: counting } }) as Broker['jsm'];
    const stored = new MessageIdIndex(Object.create(broker, { jsm: { value: jsm } }) as Broker, STREAM.events);
    const has = (id: string, after = first, owner = 'local'): Promise<boolean> => stored.has(subject, owner, id, after);
    const found = await Promise.all(Array.from({ length: 25 }, (_, n) => has(`m${n}`)));
    assert.equal(found.filter(Boolean).length, 20);
    assert.equal(await has('first'), false, 'it is from before');
    assert.equal(await has('m7', first, 'another'), false);
    assert.equal(pages, 1);
    pages = 0;
    for (let n = 0; n < 20; n++) assert.ok(await has(`m${n}`));
    assert.equal(pages, 0);
    await send('later');
    assert.ok(await has('later'));
    assert.ok(await has('first', first - 1));
  });
});
