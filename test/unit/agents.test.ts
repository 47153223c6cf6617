import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Agent } from '../../contracts/agents/agents.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { MAX_HOPS, type InboxMessage } from '../../contracts/agents/messages.js';
import { answerOf, turnAnswer, promptOf, reactionTo } from '../../src/agents/reactions.js';
import { AgentIndex } from '../../src/agents/agent-index.js';
import { routeTask } from '../../src/agents/routing.js';
import { readSignals } from '../../src/agents/signals.js';

const agent = (over: Partial<Agent> = {}): Agent => ({
  v: 1,
  agent_id: 'bob',
  owner: 'local',
  kind: 'managed',
  role: 'critic',
  capabilities: [],
  subscriptions: [],
  status: 'active',
  session_id: '00000000-0000-7000-8000-000000000000',
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-01T00:00:00.000Z',
  ...over,
});
const message = (over: Partial<InboxMessage> = {}): InboxMessage => ({
  message_id: 'm1',
  type: 'DIRECT_MESSAGE',
  owner: 'local',
  hops: 0,
  seq: 1,
  timestamp: '2026-01-01T00:00:00.000Z',
  content: 'hello',
  ...over,
});

describe('control signals', () => {
  for (const [text, expected] of [
    ['hello', { text: 'hello', ends: false, silent: false }],
    ['[END]', { text: '', ends: true, silent: false }],
    ['good bye\n[END]\n', { text: 'good bye', ends: true, silent: false }],
    ['so [TERMINATE] be it', { text: 'so  be it', ends: true, silent: false }],
    ['[NO_RESPONSE]', { text: '', ends: false, silent: true }],
    ['[END] and [NO_RESPONSE]', { text: 'and', ends: true, silent: true }],
    ['  two [END]\n\n  lines', { text: 'two\n\n  lines', ends: true, silent: false }],
    ['[end] END [ END ] NO_RESPONSE', { text: '[end] END [ END ] NO_RESPONSE', ends: false, silent: false }],
    ['', { text: '', ends: false, silent: false }],
  ] as const)
    it(`of ${JSON.stringify(text)}`, () => assert.deepEqual(readSignals(text), expected));
});

describe('the reaction of a managed agent to a message', () => {
  const error = { code: 'x', message: 'x' };
  for (const [what, given, kind] of [
    ['words', {}, 'task'],
    ['nothing at all', { content: undefined }, 'task'],
    ['a type of its user', { type: 'NEWS' }, 'task'],
    ['the last hop but one', { hops: MAX_HOPS - 1 }, 'task'],
    ['the last hop', { hops: MAX_HOPS }, 'none'],
    ['an error', { error }, 'none'],
    ['an error that says [END]', { error, content: '[END]' }, 'none'],
    ['[END]', { content: 'it is over [END]' }, 'end'],
    ['[TERMINATE]', { content: '[TERMINATE]' }, 'end'],
    ['[END] beyond the last hop', { content: '[END]', hops: MAX_HOPS }, 'end'],
    ['[NO_RESPONSE]', { content: '[NO_RESPONSE]' }, 'task'],
    ['the last word of one that has ended', { signal: 'end' }, 'task'],
    ['an answer to its own message', { to: 'bob', replies: 1 }, 'task'],
    ["a copy of another agent's message", { to: 'ann' }, 'task'],
    ["a copy of another agent's answer", { to: 'ann', replies: 1 }, 'none'],
    ["a copy of another agent's answer to a person", { replies: 1 }, 'none'],
    ['an answer to its own answer', { to: 'bob', replies: 2 }, 'none'],
  ] as const)
    it(`that is ${what}: ${kind}`, () => {
      const { content = 'hello', ...rest } = given as Partial<InboxMessage>;
      const one = 'content' in given && given.content === undefined ? message(rest) : message({ ...rest, content });
      assert.equal(reactionTo(one, agent()).kind, kind);
    });

  it('that answers its own answer is a task only with answers_replies', () => {
    const reply = message({ to: 'bob', from: 'ann', replies: 2, hops: 3 });
    assert.deepEqual(reactionTo(reply, agent()), { kind: 'none', refused: 'reply_to_reply' });
    const reaction = reactionTo(reply, agent({ answers_replies: true }));
    assert.ok(reaction.kind === 'task');
    assert.equal(reaction.message.replies, 2);
    assert.equal(reactionTo({ ...reply, to: 'carl' }, agent({ answers_replies: true })).kind, 'none');
  });

  it('that begins its turn in a conversation is a task, whatever the message quotes; only KSI can begin a turn', () => {
    const word = { type: 'CONVERSATION_TURN', conversation_id: 'c', content: 'Say [END] when you are done.' };
    const reaction = reactionTo(message(word), agent());
    assert.ok(reaction.kind === 'task');
    assert.equal(reaction.request.prompt, word.content);
    assert.equal(reactionTo(message({ ...word, from: 'ann' }), agent()).kind, 'end');
  });

  it('creates a task in its session, with its options and the message that it answers', () => {
    const options = { model: 'haiku', append_system_prompt: 'Be brief.', queue: 'slow' };
    const reaction = reactionTo(
      message({ from: 'ann', conversation_id: 'c', hops: 3, token_id: 't' }),
      agent({ options }),
    );
    assert.ok(reaction.kind === 'task');
    const { prompt, session_id, model, queue, append_system_prompt: about } = reaction.request;
    assert.equal(prompt, '[Message from ann, DIRECT_MESSAGE, conversation c]\n\nhello');
    assert.deepEqual([session_id, model, queue], [agent().session_id, 'haiku', 'slow']);
    assert.match(about ?? '', /^Be brief\.\n\nYou are the agent "bob", whose role is "critic"/);
    const to = {
      message_id: 'm1',
      seq: 1,
      type: 'DIRECT_MESSAGE',
      from: 'ann',
      conversation_id: 'c',
      hops: 3,
      token_id: 't',
    };
    assert.deepEqual(reaction.message, { ...to, exchange_id: 'm1' });
  });

  it('uses the text of a person as the prompt, and prefixes the text of an agent with its name', () => {
    assert.equal(promptOf(message({ conversation_id: 'c' })), 'hello');
    assert.equal(promptOf(message({ type: 'NEWS' })), '[Message NEWS]\n\nhello');
    assert.equal(promptOf(message({ content: '', payload: { a: 1 } })), '{\n  "a": 1\n}');
  });
});

describe('the answer of a managed agent', () => {
  const outcome = (type: string, data: object): Parameters<typeof answerOf>[0] =>
    ({ type, data }) as unknown as StoredEvent<'SPAWN_COMPLETE'>;
  const complete = (result: unknown, more: object = {}): Parameters<typeof answerOf>[0] =>
    outcome('SPAWN_COMPLETE', { output: { result, ...more } });
  for (const [what, given, expected] of [
    ['words', complete('yes'), { message: { content: 'yes' }, ends: false }],
    ['its last words', complete('bye [END]'), { message: { content: 'bye', signal: 'end' }, ends: true }],
    ['only that it ends', complete('[TERMINATE]'), { ends: true, silent: true }],
    ['nothing', complete('[NO_RESPONSE]'), { ends: false, silent: true }],
    ['nothing, and it ends', complete('x [NO_RESPONSE] [END]'), { ends: true, silent: true }],
    ['an empty result', complete(''), { ends: false, silent: true }],
    ['no result', complete(undefined), { ends: false, silent: true }],
    [
      'structured output',
      complete('', { structured_output: { a: 1 } }),
      { message: { content: '', payload: { structured_output: { a: 1 } } }, ends: false },
    ],
    [
      'a failure',
      outcome('SPAWN_ERROR', { error: { code: 'c', message: 'm' } }),
      { message: { content: 'm', error: { code: 'c', message: 'm' } }, ends: false },
    ],
    ['what was not accepted', outcome('SPAWN_CANCELLED', { reason: 'not_accepted' }), { ends: false }],
  ] as const)
    it(`with ${what}`, () => assert.deepEqual(answerOf(given), expected));

  it('to a turn in a conversation, whatever the outcome', () => {
    const turnAnswerFor = (given: Parameters<typeof answerOf>[0]): unknown => turnAnswer(answerOf(given));
    assert.deepEqual(turnAnswerFor(complete('yes')), { content: 'yes' });
    assert.deepEqual(turnAnswerFor(complete('[NO_RESPONSE]')), { content: '' });
    assert.deepEqual(turnAnswerFor(complete('[END]')), { content: '', signal: 'end' });
    assert.equal(turnAnswerFor(outcome('SPAWN_CANCELLED', { reason: 'not_accepted' })), undefined);
  });

  it('to a cancelled and to an expired task', () => {
    assert.equal(answerOf(outcome('SPAWN_CANCELLED', { reason: 'requested' })).message?.error?.code, 'task_cancelled');
    assert.equal(answerOf(outcome('SPAWN_EXPIRED', { queue_timeout_s: 1 })).message?.error?.code, 'task_expired');
  });
});

describe('a task without an addressee', () => {
  const agents = [
    agent({ agent_id: 'a', capabilities: ['x'] }),
    agent({ agent_id: 'b', capabilities: ['x', 'y'] }),
    agent({ agent_id: 'c', capabilities: ['x', 'y'], status: 'paused' }),
    agent({ agent_id: 'd', capabilities: ['z'], status: 'paused' }),
  ];
  for (const [required, expected] of [
    [['x'], 'a 1'],
    [['x', 'y'], 'b 2'],
    [['y', 'z'], 'b 1'],
    [['z'], 'no_available_agent'],
    [['w'], 'no_suitable_agent'],
    [[], 'a 0'],
  ] as const)
    it(`that needs ${required.join(', ') || 'nothing'} goes to ${expected}`, () => {
      const route = routeTask(agents, required, ({ status }) => status === 'active');
      assert.equal(route.kind === 'routed' ? `${route.agent.agent_id} ${route.score}` : route.kind, expected);
    });
});

describe('the agent index', () => {
  it('updates ids, owners and subscribers on every change', () => {
    const index = new AgentIndex();
    const [a, b] = [
      agent({ agent_id: 'a', subscriptions: ['NEWS'] }),
      agent({ agent_id: 'b', owner: 'eve', subscriptions: ['NEWS'] }),
    ];
    index.change(undefined, b);
    index.change(undefined, a);
    assert.deepEqual(
      [[...index.after(undefined)], [...index.after('a')], [...index.after('aa')]],
      [['a', 'b'], ['b'], ['b']],
    );
    assert.deepEqual(
      [index.of('local'), index.subscribers('local', 'NEWS'), index.subscribers('eve', 'NEWS')],
      [['a'], ['a'], ['b']],
    );
    index.change(a, { ...a, subscriptions: ['OTHER'] });
    assert.deepEqual([index.subscribers('local', 'NEWS'), index.subscribers('local', 'OTHER')], [[], ['a']]);
    index.change({ ...a, subscriptions: ['OTHER'] }, undefined);
    assert.deepEqual(
      [[...index.after(undefined)], index.of('local'), index.subscribers('local', 'OTHER')],
      [['b'], [], []],
    );
  });
});
