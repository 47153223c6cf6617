import type { ConversationRecord, LineRecord } from '../../contracts/conversations/conversations.js';

/** A line's text without control signals. A text too large for the line is stored as an object, and `ref` refers to it. */
export type LineText = Pick<LineRecord, 'text' | 'ref'>;

/** A participant's turn ended with an answer or with a failure. */
export type TurnOutcome =
  | {
      readonly kind: 'answer';
      /** The message that began the turn. */
      readonly messageId: string;
      /** The id of the answer, which becomes the id of the line. */
      readonly id: string;
      readonly text: LineText;
      readonly ends: boolean;
      /** The name that a moderator chose. */
      readonly nextSpeaker: string | undefined;
      readonly taskId: string | undefined;
      readonly costUsd: number;
    }
  | {
      readonly kind: 'failure';
      readonly messageId: string;
      readonly error: string;
      readonly taskId: string | undefined;
      readonly costUsd: number;
    };

/** A person or a limit changes the conversation. An ended conversation ignores all of these. */
export type ControlTrigger =
  | { readonly kind: 'begin' }
  /** A person adds a line. */
  | {
      readonly kind: 'say';
      readonly id: string;
      readonly name: string;
      readonly text: LineText;
      /** The index of the participant who has the next turn. */
      readonly next: number | undefined;
    }
  | { readonly kind: 'pause' | 'resume' | 'end'; readonly by: string }
  /** The conversation cannot continue. */
  | { readonly kind: 'fail'; readonly why: string }
  /** A deadline may have passed. */
  | { readonly kind: 'time' };

/** The reconciler has done an action. */
export type ActionResult =
  /** The message that begins a turn is stored. */
  | { readonly kind: 'sent'; readonly turn: number }
  | { readonly kind: 'registered'; readonly participant: number; readonly sessionId: string | undefined }
  | { readonly kind: 'removed'; readonly participant: number }
  /** The task of an abandoned turn is cancelled, or had ended before. */
  | { readonly kind: 'cancelled'; readonly messageId: string }
  | { readonly kind: 'published'; readonly events: ReadonlySet<string> };

/** Something that may change a conversation's state. */
export type Trigger =
  | TurnOutcome
  | ControlTrigger
  | ActionResult
  /** An abandoned turn ended. Its cost counts; its answer does not. */
  | { readonly kind: 'late'; readonly messageId: string; readonly costUsd: number };

export interface Transition {
  readonly record: ConversationRecord;
  /** The line to store before the record. */
  readonly line?: LineRecord;
}
