import type { Agent } from '../../contracts/agents/agents.js';
import { isTurnMessage, TURN_MESSAGE } from '../../contracts/conversations/conversations.js';
import type { EventData, StoredEvent } from '../../contracts/events/events.js';
import {
  MOST_HOPS,
  type InboxMessage,
  type MessageError,
  type MessageRequest,
} from '../../contracts/agents/messages.js';
import type { BlobRef } from '../../contracts/wire/blob.js';
import type { TaskMessage } from '../../contracts/tasks/message.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import { readSignals } from './signals.js';

/** What becomes of a message in a managed agent's inbox. */
export type Reaction =
  | { readonly kind: 'task'; readonly request: SpawnRequest; readonly message: TaskMessage }
  /** It takes it, and does nothing more. `refused` says why, in the receipt. */
  | { readonly kind: 'none'; readonly refused?: Unanswered }
  /** It takes it, and ends: it was told so. */
  | { readonly kind: 'end' };

/** Why a message makes no task: too many hops, a copy of another agent's answer, an answer to an answer. */
export type Unanswered = 'hop_limit' | 'copy_of_answer' | 'reply_to_reply';

/** Pure. @param agent an active managed one. */
export function reactTo(message: InboxMessage, agent: Agent): Reaction {
  const task = { kind: 'task', request: requestFor(message, agent), message: taskMessageOf(message) } as const;
  // Its signals are about the conversation, which has limits of its own.
  if (isTurnMessage(message)) return task;
  // An answer to an error is the next error: nobody would come to an end.
  if (message.error !== undefined) return { kind: 'none' };
  if (readSignals(message.content ?? '').ends) return { kind: 'end' };
  if (message.hops >= MOST_HOPS) return { kind: 'none', refused: 'hop_limit' };
  if (message.replies === undefined) return task;
  // An answer is for whom it answers. Three subscribers that answered each other's copies made 900 tasks of one message in 30 s.
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
}: InboxMessage): TaskMessage => ({
  message_id,
  seq,
  type,
  ...(token_id === undefined ? {} : { token_id }),
  ...(from === undefined ? {} : { from }),
  ...(conversation_id === undefined ? {} : { conversation_id }),
  hops,
  ...(replies === undefined ? {} : { replies }),
  exchange_id: exchange_id ?? message_id,
});

/** The task of a message: in the agent's session, with its options. */
function requestFor(message: InboxMessage, agent: Agent): SpawnRequest {
  const { append_system_prompt: own, ...options } = agent.options ?? {};
  const about = aboutAgent(agent);
  return {
    prompt: promptOf(message),
    ...(agent.session_id === undefined ? {} : { session_id: agent.session_id }),
    ...options,
    append_system_prompt: own === undefined ? about : `${own}\n\n${about}`,
  };
}

/** What these say stands in their words. */
const PLAIN: ReadonlySet<string> = new Set(['DIRECT_MESSAGE', TURN_MESSAGE]);

/** The words of a person as they are; those of an agent with who says them. */
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
  // A task must have a prompt, whatever a message lacks.
  return parts.length === 0 ? '[An empty message]' : parts.join('\n\n');
}

const aboutAgent = ({ agent_id: id, role }: Agent): string =>
  [
    `You are the agent "${id}", whose role is "${role}". Messages from people and from other agents reach you one at a time.`,
    'What you answer is sent to whoever wrote to you, as it is.',
    'If an answer needs none in return, or you have nothing to say, write [NO_RESPONSE]: then nothing is sent.',
    'Write [END] in an answer only if all is done and you are to take no more messages.',
  ].join('\n');

/** What a managed agent says when a task of its has ended. */
export interface Answer {
  /** Undefined: nothing. */
  readonly message?: Pick<MessageRequest, 'content' | 'payload'> & {
    readonly error?: MessageError;
    readonly signal?: 'end';
    readonly output_ref?: BlobRef;
  };
  /** It takes no more messages. */
  readonly ends: boolean;
  /** It has answered, though there is nothing to send. */
  readonly silent?: true;
}

type Outcome = StoredEvent<'SPAWN_COMPLETE' | 'SPAWN_ERROR' | 'SPAWN_CANCELLED' | 'SPAWN_EXPIRED'>;

const NOTHING: Answer = { ends: false };

/** Pure: the answer that a task's outcome is. */
export function answerOf({ type, data }: Outcome): Answer {
  if (type === 'SPAWN_COMPLETE') return answerWith((data as EventData<'SPAWN_COMPLETE'>).output ?? {});
  if (type === 'SPAWN_EXPIRED') return failed('task_expired', 'The task had not started in its time.');
  if (type === 'SPAWN_ERROR') {
    const { code, message } = (data as EventData<'SPAWN_ERROR'>).error;
    return failed(code, message);
  }
  // Nobody was told that it was accepted: its message is made into another task.
  const { reason } = data as EventData<'SPAWN_CANCELLED'>;
  return reason === 'not_accepted' ? NOTHING : failed('task_cancelled', 'The task was cancelled.');
}

function answerWith({ result, structured_output: structured }: Readonly<Record<string, unknown>>): Answer {
  const { text, ends, silent } = readSignals(typeof result === 'string' ? result : '');
  const payload = structured === undefined || structured === null ? {} : { payload: { structured_output: structured } };
  if (silent || (text === '' && Object.keys(payload).length === 0)) return { ends, silent: true };
  return { message: { content: text, ...payload, ...(ends ? { signal: 'end' } : {}) }, ends };
}

/** Pure: the answer whose output is too large for a message. Its signals are not read. */
export function answerIn(ref: BlobRef, taskId: string): Answer {
  const content = `The answer has ${ref.size} bytes, too many for a message. GET /tasks/${taskId}/output streams it.`;
  return { message: { content, output_ref: ref }, ends: false };
}

const failed = (code: string, message: string): Answer => ({
  message: { content: message, error: { code, message } },
  ends: false,
});

/**
 * Pure: the same of a turn in a conversation, which is told in any case, as everybody waits for it. That its speaker ends is about the
 * conversation alone.
 */
export function answerToWord({ message, ends, silent }: Answer): Answer['message'] {
  if (message === undefined && silent !== true) return undefined;
  return { content: '', ...message, ...(ends ? { signal: 'end' } : {}) };
}
