import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { check } from '../../contracts/wire/check.js';
import { CONVERSATION_MODES, type ConversationMode } from '../../contracts/wire/choices.js';
import {
  ConversationRecord,
  type ConversationRequest,
  type EndReason,
  type Line,
} from '../../contracts/conversations/conversations.js';
import { faultsOf, newRecord } from '../../src/conversations/create.js';
import { turnPrompt } from '../../src/conversations/turn-prompt.js';
import { turnMessageId } from '../../src/conversations/advance.js';
import { transition } from '../../src/conversations/transition.js';
import type { Trigger } from '../../src/conversations/trigger.js';
import { nextAction, nextCheckAt } from '../../src/conversations/next-action.js';
import { conversationMarkdown } from '../../src/conversations/markdown.js';
import { MODES } from '../../src/conversations/modes.js';
import { nextSignal } from '../../src/conversations/signals.js';

const ID = '0199a1b2-c3d4-7e5f-8a6b-123456789abc';
const T0 = Date.parse('2026-01-01T00:00:00Z');

const begun = (request: Partial<ConversationRequest> = {}): ConversationRecord => {
  const whole: ConversationRequest = { topic: 'Tabs or spaces?', mode: 'debate', ...request };
  const record = newRecord(whole, { conversationId: ID, owner: 'ann', tokenId: 'local', now: T0 });
  return after(record, { kind: 'begin' });
};
const after = (record: ConversationRecord, trigger: Trigger, now = T0): ConversationRecord =>
  transition(record, trigger, now)?.record ?? record;

let answers = 0;
/** The current participant answers. */
const answered = (record: ConversationRecord, text = 'words', more: object = {}): ConversationRecord =>
  after(record, {
    kind: 'answer',
    messageId: record.current_turn?.message_id ?? '',
    id: `answer-${++answers}`,
    text: text === '' ? {} : { text },
    ends: text.includes('[END]'),
    nextSpeaker: undefined,
    taskId: undefined,
    costUsd: 0,
    ...more,
  });
const failed = (record: ConversationRecord): ConversationRecord =>
  after(record, {
    kind: 'failure',
    messageId: record.current_turn?.message_id ?? '',
    error: 'no',
    taskId: undefined,
    costUsd: 0,
  });
const speaking = ({ current_turn: turn, participants }: ConversationRecord): string | undefined =>
  participants[turn?.participant ?? -1]?.name;
/** The names of the participants who have the first `count` turns. */
const order = (request: Partial<ConversationRequest>, count: number): string => {
  const names: string[] = [];
  for (let record = begun(request); names.length < count; record = answered(record))
    names.push(speaking(record)?.replace('agent-', '') ?? '-');
  return names.join(' ');
};

describe('conversations', () => {
  it('have the speaking order of their mode', () => {
    const table: readonly [ConversationMode, number, string][] = [
      ['debate', 3, '1 2 3 1 2 3 1'],
      ['collaboration', 2, '1 2 1 2 1 2 1'],
      ['teaching', 3, '1 2 1 3 1 2 1'],
      ['brainstorm', 4, '1 2 3 1 2 4 1'],
      ['brainstorm', 2, '1 2 1 2 1 2 1'],
      ['analysis', 2, '1 2 1 2 1 2 1'],
    ];
    for (const [mode, agents, expected] of table) assert.equal(order({ mode, agents }, 7), expected, mode);
    assert.equal(order({ mode: 'debate', agents: 2, moderator: true }, 6), '1 2 moderator 1 2 moderator');
  });

  it('have the parts of their mode', () => {
    const parts = (mode: ConversationMode, agents: number) =>
      begun({ mode, agents }).participants.map(({ part }) => part);
    assert.deepEqual(parts('debate', 3), ['for', 'against', 'third view']);
    assert.deepEqual(parts('teaching', 3), ['teacher', 'learner', 'learner']);
    assert.deepEqual(parts('brainstorm', 4), ['creator', 'creator', 'critic', 'critic']);
    assert.deepEqual(parts('analysis', 2), ['analyst', 'researcher']);
  });

  it('end by signals according to their mode', () => {
    // The participants' answers in order, and the reason for the end. An empty answer passes the turn.
    const table: readonly [ConversationMode, number, string[], EndReason | undefined][] = [
      ['debate', 3, ['a', 'b [END]', 'c', 'a [END]'], undefined],
      ['debate', 3, ['a', 'b [END]', 'c', 'a [END]', 'c last'], 'signal'],
      ['debate', 2, ['a [END]'], undefined],
      ['debate', 2, ['a [END]', 'b'], 'signal'],
      ['collaboration', 2, ['a [END]'], 'signal'],
      ['collaboration', 3, ['a [END]', 'b'], undefined],
      ['collaboration', 3, ['a [END]', 'b [END]'], 'signal'],
      ['teaching', 3, ['t', 'l [END]', 't', 'm'], undefined],
      ['teaching', 3, ['t [END]'], 'signal'],
      ['teaching', 3, ['t', 'l [END]', 't', 'm [END]'], 'signal'],
      ['analysis', 2, ['a [END]'], 'signal'],
      ['debate', 2, ['', ''], 'silence'],
      ['debate', 2, ['', 'b', ''], undefined],
    ];
    for (const [mode, agents, texts, reason] of table) {
      const record = texts.reduce((sofar, text) => answered(sofar, text), begun({ mode, agents }));
      assert.equal(record.reason, reason, `${mode} of ${agents}: ${texts.join(', ')}`);
      assert.equal(record.current_turn === undefined, reason !== undefined);
    }
  });

  it('end at limits and when a person ends them', () => {
    assert.equal(answered(answered(begun({ max_turns: 2 }))).reason, 'turns');
    assert.equal(answered(begun({ budget_usd: 0.5 }), 'x', { costUsd: 0.6 }).reason, 'budget');
    const late = after(begun({ max_duration_s: 60 }), { kind: 'time' }, T0 + 60_000);
    assert.equal(late.reason, 'time');
    assert.deepEqual(nextAction({ ...late, participants: [], pending: [] }), {
      kind: 'cancel',
      turn: { message_id: turnMessageId(ID, 1), agent_id: begun().participants[0]?.agent_id },
    });
    assert.equal(after(begun(), { kind: 'end', by: 'ann' }).reason, 'decision');
    const cancelled = after(begun(), { kind: 'end', by: 'ann' });
    const twice = answered(answered(cancelled, 'x', { costUsd: 1 }), 'x', { costUsd: 1 });
    assert.deepEqual([twice.cost_usd, twice.lines.length], [1, 0]);
    assert.equal(transition(answered(begun({ max_turns: 1 })), { kind: 'end', by: 'ann' }, T0), undefined);
  });

  it('continue without a failed participant, and end if too few are left', () => {
    const once = failed(begun({ agents: 3 }));
    assert.equal(speaking(once), 'agent-2');
    const twice = failed(answered(answered(once)));
    assert.deepEqual([twice.participants[0]?.ended, twice.reason], ['failed', undefined]);
    assert.equal(failed(answered(failed(begun()))).reason, 'failed');
    const timedOut = after(begun({ turn_timeout_s: 5 }), { kind: 'time' }, T0 + 5_000);
    assert.deepEqual([speaking(timedOut), timedOut.abandoned.length], ['agent-2', 1]);
    assert.equal(transition(begun({ turn_timeout_s: 5 }), { kind: 'time' }, T0 + 4_999), undefined);
  });

  it('count the cost of abandoned turns once, and end at their budget', () => {
    const messageId = turnMessageId(ID, 1);
    const timedOut = after(begun({ turn_timeout_s: 5, budget_usd: 0.5 }), { kind: 'time' }, T0 + 5_000);
    assert.deepEqual(nextAction({ ...timedOut, pending: [], participants: [] })?.kind, 'cancel');
    const cancelled = after(timedOut, { kind: 'cancelled', messageId });
    assert.deepEqual(nextAction({ ...cancelled, pending: [], participants: [] })?.kind, 'send');
    const late: Trigger = { kind: 'late', messageId, costUsd: 0.6 };
    const counted = after(cancelled, late);
    assert.deepEqual(
      [counted.cost_usd, counted.current_turn, transition(counted, late, T0)],
      [0.6, timedOut.current_turn, undefined],
    );
    assert.equal(answered(counted).reason, 'budget');
    // A late answer counts its cost only.
    const slow = { messageId, costUsd: 0.6, id: 'slow', taskId: undefined };
    assert.deepEqual([answered(timedOut, 'x', slow).cost_usd, answered(timedOut, 'x', slow).lines.length], [0.6, 1]);
  });

  it('let the moderator choose the next speaker and end them', () => {
    const round = answered(answered(begun({ moderator: true })));
    assert.equal(speaking(round), 'moderator');
    const chosen = answered(round, 'go', { nextSpeaker: 'agent-2' });
    assert.equal(speaking(chosen), 'agent-2');
    assert.equal(speaking(answered(chosen)), 'agent-1');
    assert.equal(answered(round, 'enough', { ends: true }).reason, 'moderator');
  });

  it('pause, and accept lines from people', () => {
    const paused = answered(after(begun({ max_duration_s: 60 }), { kind: 'pause', by: 'ann' }));
    assert.deepEqual([paused.status, paused.current_turn, paused.lines.length], ['paused', undefined, 1]);
    assert.equal(transition(paused, { kind: 'time' }, T0 + 3_600_000), undefined);
    const say: Trigger = { kind: 'say', id: 'line-1', name: 'person', text: { text: 'Hold on.' }, next: 0 };
    const said = after(paused, say);
    assert.equal(transition(said, say, T0), undefined, 'a repeated line changes nothing');
    const resumed = after(said, { kind: 'resume', by: 'ann' }, T0 + 10_000);
    assert.deepEqual([speaking(resumed), resumed.ends_by], ['agent-1', new Date(T0 + 70_000).toISOString()]);
    assert.deepEqual([resumed.current_turn?.from_line, resumed.current_turn?.to_line], [0, 2]);
  });

  it('send each participant the lines since its last turn, and an introduction at first', () => {
    const lines: Line[] = [
      { id: '1', kind: 'said', name: 'agent-1', part: 'for', at: '', text: 'Tabs.' },
      { id: '2', kind: 'person', name: 'person', at: '', text: 'Why?' },
      { id: '3', kind: 'passed', name: 'agent-2', at: '', text: '' },
    ];
    const second = answered(begun());
    const text = turnPrompt(second, second.current_turn ?? assert.fail(), lines);
    assert.match(text, /debate[\s\S]*Tabs or spaces\?[\s\S]*agent-2 \(against\)[\s\S]*agent-1 \(for\) said:\nTabs\./);
    const again = answered(second);
    const later = turnPrompt(again, again.current_turn ?? assert.fail(), lines.slice(1));
    assert.equal(
      later,
      'Since your last turn:\n\nperson said:\nWhy?\n\nIt is your turn, agent-1 (turn 3 of at most 20).',
    );
    assert.match(
      conversationMarkdown({ topic: 'Tabs or\nspaces?', mode: 'debate', lines }),
      /^# Tabs or\n\n\*debate\*\n\nTabs or\nspaces\?\n\n## agent-1 \(for\)\n\nTabs\.\n\n## person\n\nWhy\?\n\n## agent-2\n\n\*passed/,
    );
    assert.deepEqual(nextSignal('So far so good. [NEXT: agent-2]'), {
      text: 'So far so good.',
      nextSpeaker: 'agent-2',
    });
    assert.deepEqual(nextSignal('[NEXT:] [NEXT: a b]'), { text: '[NEXT:] [NEXT: a b]', nextSpeaker: undefined });
  });

  it('refuse requests that do not fit the mode', () => {
    const fields = (request: Partial<ConversationRequest>): string[] =>
      faultsOf({ topic: 'x', mode: 'debate', ...request }).map(({ field }) => field);
    assert.deepEqual(fields({}), []);
    assert.deepEqual(fields({ agents: 5 }), ['agents']);
    assert.deepEqual(fields({ agents: 2, participants: [{}, {}] }), ['agents']);
    assert.deepEqual(fields({ participants: [{ agent_id: 'a', role: 'r' }, { agent_id: 'a' }] }), [
      'participants.0.role',
      'participants.1.agent_id',
    ]);
    assert.deepEqual(fields({ participants: [{ name: 'x' }, {}], moderator: { name: 'x' } }), ['moderator.name']);
  });

  it('have one turn at a time, apply each trigger once, and end within the limits after any sequence of triggers', () => {
    const triggerKind = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom('said', 'ends', 'passes', 'fails') },
      { weight: 1, arbitrary: fc.constantFrom('pause', 'resume', 'say', 'again', 'wait') },
    );
    const request = fc.record({
      mode: fc.constantFrom(...CONVERSATION_MODES),
      agents: fc.integer({ min: 2, max: 4 }),
      moderator: fc.boolean(),
      max_turns: fc.integer({ min: 1, max: 30 }),
      turn_timeout_s: fc.integer({ min: 1, max: 100 }),
    });
    fc.assert(
      fc.property(request, fc.array(triggerKind, { maxLength: 80 }), (options, kinds) => {
        let record = begun(options);
        let now = T0;
        const turns = new Map<string, number>();
        let before: Trigger | undefined;
        for (const kind of [...kinds, ...Array.from({ length: 90 }, () => 'said')]) {
          now += 1_000;
          if (kind === 'again' && before === undefined) continue;
          if (record.current_turn !== undefined) turns.set(record.current_turn.message_id, record.current_turn.turn);
          const turn = { messageId: record.current_turn?.message_id ?? '', taskId: undefined, costUsd: 0.01 };
          const answer = {
            kind: 'answer',
            id: `a${now}`,
            ends: kind === 'ends',
            nextSpeaker: undefined,
            ...turn,
          } as const;
          const trigger: Trigger =
            kind === 'again' && before !== undefined
              ? before
              : kind === 'fails'
                ? { kind: 'failure', error: 'x', ...turn }
                : kind === 'pause' || kind === 'resume'
                  ? { kind, by: 'ann' }
                  : kind === 'say'
                    ? { kind, id: `s${now}`, name: 'person', text: { text: 'x' }, next: undefined }
                    : kind === 'wait'
                      ? { kind: 'time' }
                      : { ...answer, text: kind === 'passes' ? {} : { text: 'x' } };
          const changed = transition(record, trigger, now);
          if (kind === 'again' && before?.kind !== 'pause' && before?.kind !== 'resume' && before?.kind !== 'time')
            assert.equal(changed, undefined, 'a repeated trigger changes nothing');
          if (kind !== 'again') before = trigger;
          const next = changed?.record ?? record;
          // A turn begins only after the previous one, and the numbers have no gaps.
          if (next.current_turn !== undefined && next.current_turn.turn !== record.current_turn?.turn)
            assert.equal(next.current_turn.turn, record.turns + 1);
          if (
            record.current_turn !== undefined &&
            next.current_turn !== undefined &&
            next.current_turn.turn !== record.current_turn.turn
          )
            assert.equal(next.lines.length, record.lines.length + 1, 'a turn ends with a line');
          assert.ok(next.turns <= options.max_turns);
          assert.ok(check(ConversationRecord, next).ok);
          assert.equal(new Set(next.lines).size, next.lines.length);
          assert.equal(
            next.status === 'running' && next.current_turn === undefined,
            false,
            'a running conversation has a current turn',
          );
          assert.ok(next.status !== 'running' || nextCheckAt(next) !== undefined);
          record = next;
          if (record.status === 'paused' && kind === 'said') record = after(record, { kind: 'resume', by: 'ann' }, now);
        }
        assert.equal(record.status, 'ended');
        assert.ok(record.turns <= MODES[record.mode].maxParticipants * 100);
        assert.equal(new Set(turns.values()).size, turns.size, 'each message begins one turn');
      }),
      { numRuns: 300 },
    );
  });
});
