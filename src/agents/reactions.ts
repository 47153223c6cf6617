import type { Agent } from '../../contracts/agents/agents.js';
import { isTurnMessage, TURN_MESSAGE } from '../../contracts/conversations/conversations.js';
import type { EventData, StoredEvent } from '../../contracts/events/events.js';
import {
  MAX_HOPS,
  type InboxMessage,
  type MessageError,
  type MessageRequest,
} from '../../contracts/agents/messages.js';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { SourceMessage } from '../../contracts/tasks/message.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import { readSignals } from './signals.js';
import { defined } from '../defined.js';

/** What to do with a message in a managed agent's inbox. */
export type Reaction =
  | { readonly kind: 'task'; readonly request: SpawnRequest; readonly message: SourceMessage }
  /** Acknowledge it only. The receipt has the reason in `refused`. */
  | { readonly kind: 'none'; readonly refused?: Unanswered }
  /** Acknowledge it and end the agent, as the message says [END]. */
  | { readonly kind: 'end' };

/** Why a message does not become a task: too many hops, a copy of another agent's answer, an answer to an answer. */
export type Unanswered = 'hop_limit' | 'copy_of_answer' | 'reply_to_reply';

/** Pure. @param agent active and managed. */
export function reactionTo(message: InboxMessage, agent: Agent): Reaction {
  const task = { kind: 'task', request: requestFor(message, agent), message: taskMessageOf(message) } as const;
  // Signals in a turn end the conversation, not the agent. Conversations have their own limits.
  if (isTurnMessage(message)) return task;
  // Two agents that answer each other's errors would never stop.
  if (message.error !== undefined) return { kind: 'none' };
  if (readSignals(message.content ?? '').ends) return { kind: 'end' };
  if (message.hops >= MAX_HOPS) return { kind: 'none', refused: 'hop_limit' };
  if (message.replies === undefined) return task;
  // Only the recipient reacts to an answer. Three subscribers that answered each other's copies made 900 tasks of one message in 30 s.
  if (message.to !== agent.agent_id) return { kind: 'none', refused: 'copy_of_answer' };
  if (message.replies > 1 && agent.answers_replies !== true) return { kind: 'none', refused: 'reply_to_reply' };
  return task;
}

const taskMessageOf = ({
  message_id,
  seq,
  type,
  from,
  conversation_id,
  token_id,
  hops,
  replies,
  exchange_id,
}: InboxMessage): SourceMessage =>
  defined({
    message_id,
    seq,
    type,
    token_id,
    from,
    conversation_id,
    hops,
    replies,
    exchange_id: exchange_id ?? message_id,
  });

/** The task of a message: in the agent's session, with its options. */
function requestFor(message: InboxMessage, agent: Agent): SpawnRequest {
  const { append_system_prompt: own, ...options } = agent.options ?? {};
  const about = aboutAgent(agent);
  return defined({
    prompt: promptOf(message),
    session_id: agent.session_id,
    ...options,
    append_system_prompt: own === undefined ? about : `${own}\n\n${about}`,
  });
}

/** Message types that tell Claude nothing that the text does not. */
const PLAIN: ReadonlySet<string> = new Set(['DIRECT_MESSAGE', TURN_MESSAGE]);

/** A person's text unchanged; an agent's text with a header that names the sender. */
export function promptOf({ type, from, conversation_id, content, payload }: InboxMessage): string {
  const head = [
    ...(from === undefined ? [] : [`from ${from}`]),
    ...(from === undefined && PLAIN.has(type) ? [] : [type]),
    ...(from === undefined || conversation_id === undefined ? [] : [`conversation ${conversation_id}`]),
  ];
  const parts = [
    ...(head.length === 0 ? [] : [`[Message ${head.join(', ')}]`]),
    ...(content === undefined || content === '' ? [] : [content]),
    ...(payload === undefined ? [] : [JSON.stringify(payload, undefined, 2)]),
  ];
  // A prompt must not be empty.
  return parts.length === 0 ? '[An empty message]' : parts.join('\n\n');
}

const aboutAgent = ({ agent_id: id, role }: Agent): string =>
  [
    `You are the agent "${id}", whose role is "${role}". Messages from people and from other agents reach you one at a time.`,
    'Your answer is sent to the sender of the message, unchanged.',
    'If a message needs no answer, or you have nothing to say, write [NO_RESPONSE]. Then nothing is sent.',
    'Write [END] in an answer only if all work is done and you should receive no more messages.',
  ].join('\n');

/** The reaction of a managed agent to the end of its task. */
export interface Answer {
  /** Undefined: send nothing. */
  readonly message?: Pick<MessageRequest, 'content' | 'payload'> & {
    readonly error?: MessageError;
    readonly signal?: 'end';
    readonly output_ref?: BlobRef;
  };
  /** The agent ends. */
  readonly ends: boolean;
  /** The task succeeded, but its answer is empty or [NO_RESPONSE]. */
  readonly silent?: true;
}

type Outcome = StoredEvent<'SPAWN_COMPLETE' | 'SPAWN_ERROR' | 'SPAWN_CANCELLED' | 'SPAWN_EXPIRED'>;

const NOTHING: Answer = { ends: false };

/** Pure: the answer that follows from a task's outcome. */
export function answerOf({ type, data }: Outcome): Answer {
  if (type === 'SPAWN_COMPLETE') return answerWith((data as EventData<'SPAWN_COMPLETE'>).output ?? {});
  if (type === 'SPAWN_EXPIRED') return failed('task_expired', 'The task expired before it started.');
  if (type === 'SPAWN_ERROR') {
    const { code, message } = (data as EventData<'SPAWN_ERROR'>).error;
    return failed(code, message);
  }
  // The API never confirmed this task, so the message becomes another task.
  const { reason } = data as EventData<'SPAWN_CANCELLED'>;
  return reason === 'not_accepted' ? NOTHING : failed('task_cancelled', 'The task was cancelled.');
}

function answerWith({ result, structured_output: structured }: Readonly<Record<string, unknown>>): Answer {
  const { text, ends, silent } = readSignals(typeof result === 'string' ? result : '');
  const payload = structured === undefined || structured === null ? {} : { payload: { structured_output: structured } };
  if (silent || (text === '' && Object.keys(payload).length === 0)) return { ends, silent: true };
  return { message: { content: text, ...payload, ...(ends ? { signal: 'end' } : {}) }, ends };
}

/** Pure: the answer that refers to an output that is too large for a message. Signals in the output are not read. */
export function answerIn(ref: BlobRef, taskId: string): Answer {
  const content = `The answer has ${ref.size} bytes, too many for a message. Read it with GET /tasks/${taskId}/output.`;
  return { message: { content, output_ref: ref }, ends: false };
}

const failed = (code: string, message: string): Answer => ({
  message: { content: message, error: { code, message } },
  ends: false,
});

/**
 * Pure: the answer of a turn in a conversation. It is sent even if it is empty, because the conversation waits for it. [END] ends the
 * conversation only, not the agent.
 */
export function turnAnswer({ message, ends, silent }: Answer): Answer['message'] {
  if (message === undefined && silent !== true) return undefined;
  return { content: '', ...message, ...(ends ? { signal: 'end' } : {}) };
}
