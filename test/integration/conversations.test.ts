import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import {
  ANSWER_MESSAGE,
  CONVERSATION_RECORDS,
  type Conversation,
  type ConversationAccepted,
  type ConversationPage,
  type ConversationRequest,
  type ConversationTranscript,
} from '../../contracts/conversations/conversations.js';
import type { EventEnvelope } from '../../contracts/events/events.js';
import type { TokenCreated } from '../../contracts/access/tokens.js';
import { BUCKET, HEADER, NOBODY, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import { NO_USAGE } from '../../contracts/access/usage.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { readStream } from '../../src/broker/replay.js';
import { Records } from '../../src/broker/records.js';
import { lastBySubject, subjectsOf } from '../../src/broker/read.js';
import { newRecord } from '../../src/conversations/create.js';
import { transition } from '../../src/conversations/transition.js';
import { AgentsOver, type Said } from '../fixtures/agents.js';
import { KsiClient } from '../../src/client/index.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { systemClock } from '../../src/clock.js';
import { silent } from '../fixtures/connection.js';

describe('conversations of external agents', () => {
  let lab: ApiLab;
  let second: ApiOn;
  let here: AgentsOver;
  let there: AgentsOver;
  before(async () => {
    lab = await ApiLab.start();
    second = await startApiOn(lab.server.url);
    here = new AgentsOver(() => lab.url);
    there = new AgentsOver(() => second.url);
  });
  after(async () => {
    await second.stop();
    await lab.stop();
  });

  const must = async <T>(reply: Promise<Said>, status = 200): Promise<T> => {
    const { status: got, body } = await reply;
    assert.equal(got, status, JSON.stringify(body));
    return body as T;
  };
  /** Registers agents with unique ids. */
  const registerAgents = async (count: number): Promise<string[]> => {
    const ids = Array.from({ length: count }, (_, n) => `talk-${n + 1}-${uuidv4().slice(0, 8)}`);
    for (const id of ids) await here.register({ agent_id: id });
    return ids;
  };
  const begin = (ids: readonly string[], more: object = {}): Promise<ConversationAccepted> =>
    must(
      here.ask('POST', '/conversations', {
        topic: 'Tabs or spaces?',
        mode: 'debate',
        participants: ids.map((id) => ({ agent_id: id })),
        ...more,
      }),
      201,
    );
  const show = (id: string, api = here): Promise<Conversation> => must(api.ask('GET', `/conversations/${id}`));
  const transcript = (id: string): Promise<ConversationTranscript> =>
    must(there.ask('GET', `/conversations/${id}/transcript`));
  /** Answers the next turn of an agent. @returns the text of the message that began the turn. */
  const speak = async (agentId: string, content: string, api = there, more: object = {}): Promise<string> => {
    const [turn] = await api.inbox(agentId, '?wait=20&limit=1');
    assert.equal(turn?.type, 'CONVERSATION_TURN');
    await api.send({
      type: 'CONVERSATION_ANSWER',
      from: agentId,
      conversation_id: turn.conversation_id,
      reply_to: turn.message_id,
      content,
      ...more,
    });
    await api.ack(agentId, turn.seq);
    return turn.content ?? '';
  };
  const eventsOf = async (since: string, id: string, until: string): Promise<EventEnvelope[]> => {
    const feed = lab.connect(`?since=${since}&subject=ksi.events.conversation.${id}.>`);
    await feed.until(({ type }) => type === until);
    feed.socket.terminate();
    return feed.frames.filter(({ op }) => op === undefined);
  };

  it('alternate turns up to the limit and publish their events in order', async () => {
    const [a = '', b = ''] = await registerAgents(2);
    const begun = await begin([a, b], { max_turns: 3 });
    assert.deepEqual([begun.status, begun.speaking?.name, begun.next], ['running', a, b]);
    const first = await speak(a, 'Tabs.');
    assert.match(first, /Tabs or spaces\?/);
    assert.match(await speak(b, 'Spaces.', here), /\(for\) said:\nTabs\./);
    assert.equal(
      await speak(a, 'Both.'),
      `Since your last turn:\n\n${b} (against) said:\nSpaces.\n\nIt is your turn, ${a} (turn 3 of at most 3).`,
    );
    const events = await eventsOf(begun.since, begun.conversation_id, 'CONVERSATION_ENDED');
    assert.deepEqual(
      events.map(({ type, data }) => [type, data['text'] ?? data['reason'] ?? data['mode']]),
      [
        ['CONVERSATION_STARTED', 'debate'],
        ['CONVERSATION_TURN', 'Tabs.'],
        ['CONVERSATION_TURN', 'Spaces.'],
        ['CONVERSATION_TURN', 'Both.'],
        ['CONVERSATION_ENDED', 'turns'],
      ],
    );
    const ended = await show(begun.conversation_id, there);
    assert.deepEqual([ended.status, ended.reason, ended.turns, ended.speaking], ['ended', 'turns', 3, undefined]);
    const { lines } = await transcript(begun.conversation_id);
    assert.deepEqual(
      lines.map(({ name, turn, text }) => [name, turn, text]),
      [
        [a, 1, 'Tabs.'],
        [b, 2, 'Spaces.'],
        [a, 3, 'Both.'],
      ],
    );
    const markdown = await lab.request(`/conversations/${begun.conversation_id}/transcript?format=markdown`);
    assert.match(String(markdown.body['text']), /^# Tabs or spaces\?[\s\S]*## talk-1-\w+ \(for\)\n\nTabs\./);
  });

  it('survive the death of the API that drives them, and begin each turn once', async () => {
    const [a = '', b = ''] = await registerAgents(2);
    const begun = await begin([a, b], { max_turns: 6 });
    await lab.stopApi();
    await speak(a, 'one');
    await speak(b, 'two');
    await lab.startApi();
    await speak(a, 'three', here);
    await speak(b, 'four', here);
    await Promise.all([lab.stopApi(), speak(a, 'five')]);
    await speak(b, 'six');
    await lab.startApi();
    const events = await eventsOf(begun.since, begun.conversation_id, 'CONVERSATION_ENDED');
    assert.deepEqual(
      events.flatMap(({ type, data }) => (type === 'CONVERSATION_TURN' ? [data['text']] : [])),
      ['one', 'two', 'three', 'four', 'five', 'six'],
    );
    for (const id of [a, b]) assert.deepEqual(await here.inbox(id), [], 'no turn began twice');
  });

  it('accept one answer, only from the agent whose turn it is', async () => {
    const [a = '', b = ''] = await registerAgents(2);
    const begun = await begin([a, b], { max_turns: 2 });
    const answer = { type: 'CONVERSATION_ANSWER', conversation_id: begun.conversation_id };
    await here.send({ ...answer, from: b, content: 'out of turn' });
    await here.send({ ...answer, from: a, reply_to: uuidv4(), content: 'to something else' });
    const reply = { ...answer, from: a, content: 'mine', message_id: uuidv4() };
    await here.send(reply);
    await here.send(reply);
    await speak(b, 'yours');
    await eventsOf(begun.since, begun.conversation_id, 'CONVERSATION_ENDED');
    assert.deepEqual(
      (await transcript(begun.conversation_id)).lines.map(({ text }) => text),
      ['mine', 'yours'],
    );
  });

  it('can be paused, joined, resumed and ended by people, and a repeated create returns the same conversation', async () => {
    const [a = '', b = ''] = await registerAgents(2);
    const id = uuidv4();
    const begun = await begin([a, b], { conversation_id: id });
    assert.equal((await begin([a, b], { conversation_id: id })).created_at, begun.created_at);
    const post = (what: string, body?: object): Promise<Said> => here.ask('POST', `/conversations/${id}/${what}`, body);
    assert.equal((await must<Conversation>(post('pause'))).status, 'paused');
    const showAt = async (lines: number): Promise<Conversation> => {
      for (;;) {
        const conversation = await show(id);
        if (conversation.lines === lines) return conversation;
      }
    };
    await speak(a, 'before the pause');
    await showAt(1);
    const line = { text: 'Be brief.', next: a, message_id: uuidv4() };
    await must(post('say', line));
    await must(post('say', line));
    assert.equal((await post('say', { text: 'x', next: 'nobody' })).status, 400);
    assert.deepEqual([(await showAt(2)).speaking, (await here.inbox(b)).length], [undefined, 0]);
    assert.equal((await must<Conversation>(post('resume'))).speaking?.name, a);
    assert.match(await speak(a, 'again'), /person said:\nBe brief\./);
    await showAt(3);
    const ended = await must<Conversation>(post('end'));
    assert.deepEqual([ended.status, ended.reason], ['ended', 'decision']);
    assert.equal((await must<Conversation>(post('end'))).reason, 'decision');
    const late = await post('say', { text: 'x' });
    assert.deepEqual([late.status, late.body['code']], [409, 'conversation_ended']);
    const types = (await eventsOf(begun.since, id, 'CONVERSATION_ENDED')).map(({ type }) => type);
    assert.deepEqual(types, [
      'CONVERSATION_STARTED',
      'CONVERSATION_PAUSED',
      'CONVERSATION_TURN',
      'CONVERSATION_SAID',
      'CONVERSATION_RESUMED',
      'CONVERSATION_TURN',
      'CONVERSATION_ENDED',
    ]);
  });

  it('continue without an agent that does not answer, and end at their time limit', async () => {
    const [a = '', b = ''] = await registerAgents(2);
    const begun = await begin([a, b], { turn_timeout_s: 1, max_duration_s: 3 });
    await speak(b, 'I am here.');
    const events = await eventsOf(begun.since, begun.conversation_id, 'CONVERSATION_ENDED');
    const turns = events
      .filter(({ type }) => type === 'CONVERSATION_TURN')
      .map(({ data }) => [data['name'], data['kind']]);
    assert.deepEqual(turns.slice(0, 2), [
      [a, 'failed'],
      [b, 'said'],
    ]);
    assert.match(String(events.at(-1)?.data['reason']), /time|failed/);
  });

  it('count the cost of a turn that timed out', async () => {
    const begun = await must<ConversationAccepted>(
      here.ask('POST', '/conversations', { topic: 'x', mode: 'debate', max_turns: 1, turn_timeout_s: 2 }),
      201,
    );
    const { session_id: sessionId = '' } = begun.participants[0] ?? {};
    let taskId = '';
    while (taskId === '') {
      const run = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
      taskId = run?.header(HEADER.taskId) ?? '';
    }
    // Its first attempt fails, its next one has not begun by then.
    const data = { task_id: taskId, session_id: sessionId, owner: 'local', attempt: 1, worker_id: 'w_test' };
    const usage = { ...NO_USAGE, cost_usd: 0.3 };
    const filter = SUBJECT.taskStates(taskId);
    const { seq = 0 } = (await lastBySubject(lab.broker, STREAM.events, filter)) ?? {};
    const retry = newEvent(systemClock, 'SPAWN_RETRY', { ...data, usage, reason: 'claude_error' });
    const subject = SUBJECT.taskState(taskId, TASK_STATES.retrying.token);
    await lab.broker.publisher.publish(eventPublication(retry, subject, { filter, seq }));
    await eventsOf(begun.since, begun.conversation_id, 'CONVERSATION_ENDED');
    let shown = await show(begun.conversation_id);
    while (shown.cost_usd === 0) shown = await show(begun.conversation_id);
    assert.deepEqual([shown.reason, shown.cost_usd], ['turns', 0.3]);
    assert.equal((await lab.task(taskId)).status, 'cancelled');
  });

  it('are listed page by page, and deleted with their transcript', async () => {
    const [a = '', b = ''] = await registerAgents(2);
    const made: string[] = [];
    for (let n = 0; n < 3; n++) made.push((await begin([a, b])).conversation_id);
    const page = (query: string): Promise<ConversationPage> => must(there.ask('GET', `/conversations?${query}`));
    const first = await page('limit=2&status=running');
    assert.deepEqual(
      first.items.map(({ conversation_id: id }) => id),
      made.toReversed().slice(0, 2),
    );
    const more = await page(`limit=2&status=running&cursor=${first.next_cursor}`);
    assert.equal(more.items[0]?.conversation_id, made[0]);
    const id = made[0] ?? '';
    await must(here.ask('POST', `/conversations/${id}/say`, { text: 'secret' }));
    await speak(a, 'gone with it');
    await speak(a, 'of another');
    await must(there.ask('DELETE', `/conversations/${id}`), 204);
    for (const [stream, filter] of [
      [STREAM.events, SUBJECT.agentMessage(NOBODY, ANSWER_MESSAGE)],
      [STREAM.messages, SUBJECT.messageStored(ANSWER_MESSAGE, NOBODY)],
    ] as const) {
      let answers = '';
      while (!answers.includes('of another'))
        for await (const { data } of readStream(lab.broker, stream, filter, 0, Number.MAX_SAFE_INTEGER))
          answers += new TextDecoder().decode(data);
      assert.ok(!answers.includes(id), stream);
    }
    for (const api of [here, there]) assert.equal((await api.ask('GET', `/conversations/${id}`)).status, 404);
    const left = await subjectsOf(lab.broker, `KV_${BUCKET.conversationLines}`, SUBJECT.conversationLines(id));
    assert.deepEqual(left, []);
    const subjects = await subjectsOf(lab.broker, 'KSI_EVENTS', SUBJECT.conversationEvents(id));
    assert.deepEqual(subjects, [SUBJECT.conversationEvent(id, 'deleted')]);
  });

  it('are deleted with their owner', async () => {
    const made = await must<TokenCreated>(
      here.ask('POST', '/tokens', { owner: 'ann', scopes: ['spawn', 'agents', 'read'] }),
      201,
    );
    const ann = new AgentsOver(() => lab.url, made.token);
    const { conversation_id: id, participants } = await must<ConversationAccepted>(
      ann.ask('POST', '/conversations', { topic: 'x', mode: 'debate' }),
      201,
    );
    await must(ann.ask('POST', `/conversations/${id}/say`, { text: 'secret' }));
    // An agent of it has something else to do too, which is no turn.
    await ann.send({ to: participants[0]?.agent_id, content: 'And you?' });
    let tasks: { task_id: string }[] = [];
    while (tasks.length < 2) ({ items: tasks } = await must<{ items: typeof tasks }>(ann.ask('GET', '/tasks')));
    await must(there.ask('DELETE', '/owners/ann'), 204);
    const gone = [`/conversations/${id}`, `/agents/${participants[0]?.agent_id}`];
    for (const path of [...gone, ...tasks.map(({ task_id: task }) => `/tasks/${task}`)])
      for (const api of [here, there]) assert.equal((await api.ask('GET', path)).status, 404, path);
    const left = await subjectsOf(lab.broker, `KV_${BUCKET.conversationLines}`, SUBJECT.conversationLines(id));
    assert.deepEqual(left, []);
  });

  it('are refused if their record would be too large; a stored one that is too large can still be ended and deleted', async () => {
    const options = { append_system_prompt: 'x'.repeat(174_000) };
    const request = { topic: 'x', mode: 'brainstorm', participants: Array.from({ length: 6 }, () => ({ options })) };
    const refused = await here.ask('POST', '/conversations', request);
    assert.deepEqual(
      [refused.status, (refused.body['errors'] as { field: string }[] | undefined)?.[0]?.field],
      [400, 'participants'],
    );
    // A record of an older build, which has no room for further changes.
    const id = uuidv4();
    const record = newRecord(request as ConversationRequest, {
      conversationId: id,
      owner: 'local',
      tokenId: 'local',
      now: Date.now(),
    });
    const begun = transition(record, { kind: 'begin' }, Date.now())?.record ?? assert.fail();
    const room = 1_048_576 - 300 - JSON.stringify(begun).length;
    const topic = 'x'.repeat(room);
    await new Records(lab.broker, CONVERSATION_RECORDS, silent).create([id], { ...begun, topic });
    const reply = await here.ask('POST', `/conversations/${id}/say`, { text: 'x' });
    assert.deepEqual([reply.status, reply.body['code']], [413, 'body_too_large']);
    assert.equal((await must<Conversation>(there.ask('POST', `/conversations/${id}/end`))).status, 'ended');
    await must(here.ask('DELETE', `/conversations/${id}`), 204);
    assert.equal((await there.ask('GET', `/conversations/${id}`)).status, 404);
  });

  it('run through the client library', async () => {
    const ids = await registerAgents(2);
    await using client = new KsiClient({ url: lab.url, token: TOKEN });
    const participants = ids.map((id, n) => ({ agent_id: id, name: `No.${n + 1}` }));
    const talk = await client.conversations.create({ topic: 'T', mode: 'collaboration', participants, max_turns: 2 });
    const [a = '', b = ''] = ids;
    const [seen] = await Promise.all([
      (async () => {
        const reply: unknown[] = [];
        for await (const { type, data } of talk.events()) reply.push('text' in data ? data.text : type);
        return reply;
      })(),
      speak(a, 'first').then(() => speak(b, 'second')),
    ]);
    assert.deepEqual(seen, ['CONVERSATION_STARTED', 'first', 'second', 'CONVERSATION_ENDED']);
    assert.equal((await talk.ended()).reason, 'turns');
    assert.match(await client.conversations.markdown(talk.id), /## No.2 \(collaborator\)\n\nsecond/);
    const { lines } = await client.conversations.transcript(talk.id);
    assert.deepEqual(
      lines.map(({ name }) => name),
      ['No.1', 'No.2'],
    );
    await client.conversations.delete(talk.id);
    await assert.rejects(client.conversations.get(talk.id), { code: 'not_found' });
  });

  it('register agents, also from profiles, and remove them at the end', async () => {
    const participants = [{ name: 'ann', profile: 'critic' }, { options: { model: 'haiku' } }];
    const begun = await must<ConversationAccepted>(
      here.ask('POST', '/conversations', { topic: 'x', mode: 'collaboration', participants, moderator: true }),
      201,
    );
    const members = [...begun.participants, begun.moderator ?? assert.fail('no moderator')];
    assert.deepEqual(
      members.map(({ name }) => name),
      ['ann', 'agent-2', 'moderator'],
    );
    const agents = await Promise.all(members.map(({ agent_id: id }) => there.one(id)));
    assert.deepEqual(
      agents.map(({ kind, profile, role }) => [kind, profile, role]),
      [
        ['managed', 'critic', 'critic'],
        ['managed', undefined, 'collaborator'],
        ['managed', undefined, 'moderator'],
      ],
    );
    const prompts = agents.map(({ options }) => options?.append_system_prompt ?? '');
    assert.match(prompts[0] ?? '', /critic/i);
    assert.match(prompts[1] ?? '', /topic: x[^]*You speak with ann \(collaborator\), moderator \(moderator\)[^]*leads/);
    assert.match(prompts[2] ?? '', /moderation[^]*\[END\]/);
    assert.equal(agents[1]?.options?.model, 'haiku');
    await must(there.ask('POST', `/conversations/${begun.conversation_id}/end`));
    for (const { agent_id: id } of members) while ((await here.ask('GET', `/agents/${id}`)).status !== 404);
    const unknown = await here.ask('POST', '/conversations', { topic: 'x', mode: 'debate', profile: 'no-such' });
    assert.equal(unknown.status, 404);
  });

  it('are refused if the request is invalid', async () => {
    const [a = ''] = await registerAgents(1);
    const codes = async (body: object): Promise<unknown[]> => {
      const { status, body: problem } = await here.ask('POST', '/conversations', {
        topic: 'x',
        mode: 'debate',
        ...body,
      });
      return [status, problem['code'], (problem['errors'] as { field: string }[] | undefined)?.[0]?.field];
    };
    assert.deepEqual(await codes({ agents: 5 }), [400, 'invalid_request', 'agents']);
    assert.deepEqual(await codes({ mode: 'quarrel' }), [400, 'invalid_request', 'mode']);
    assert.deepEqual(await codes({ participants: [{ agent_id: a }, { agent_id: 'nobody' }] }), [
      404,
      'not_found',
      undefined,
    ]);
    assert.deepEqual((await codes({ options: { queue: 'none' } })).slice(0, 2), [400, 'invalid_request']);
    assert.equal((await here.ask('GET', `/conversations/${uuidv4()}`)).status, 404);
  });
});
