import { contentOfMessage, textOfMessage } from '../../../contracts/tasks/claude.js';
import type { SpawnDelta } from '../../../contracts/events/events.js';
import { MessageText, type NewText } from '../../client/message-text.js';
import { toolLine } from './tools.js';

/** A piece of output and its stream. */
export interface Piece {
  readonly to: 'stdout' | 'stderr';
  readonly text: string;
}

interface ToolUse {
  readonly type: 'tool_use';
  readonly name?: string;
  readonly input?: unknown;
}

/** The width without a terminal. */
const USUAL_WIDTH = 200;
/** The model of messages that report Claude's own failures. They are not shown, because the task's error is clearer. */
const SYNTHETIC = '<synthetic>';

/** Formats an answer: the text for stdout, with each message ending in a line break, and a line for each tool use for stderr. */
export class AnswerText {
  readonly #width: () => number;
  readonly #messages = new MessageText();
  /** The last output did not end with a line break. */
  #open = false;
  #any = false;

  /** @param width the maximum columns of a line about a tool. */
  constructor(width: () => number = () => USUAL_WIDTH) {
    this.#width = width;
  }

  /** Whether any text of the answer was written. */
  get any(): boolean {
    return this.#any;
  }

  /** A new attempt repeats the answer from the start. */
  start(attempt: number): Piece[] {
    return [...this.end(), ...this.#write(this.#messages.start(attempt))];
  }

  delta(delta: SpawnDelta): Piece[] {
    return this.#write(this.#messages.delta(delta));
  }

  /** @param message a complete message of Claude's output stream. */
  message(message: unknown): Piece[] {
    const text = textOfMessage(message);
    return [
      ...(text === undefined ? [] : this.#complete(text, modelOf(message) === SYNTHETIC)),
      ...contentOfMessage(message)
        .filter(isToolUse)
        .flatMap((tool) => this.#tool(tool)),
      ...this.#write(this.#messages.caughtUp()),
    ];
  }

  /** Ends the line. */
  end(): Piece[] {
    const open = this.#open;
    this.#open = false;
    return open ? [{ to: 'stdout', text: '\n' }] : [];
  }

  #complete(whole: string, isSilent: boolean): Piece[] {
    const rest = this.#messages.complete(whole);
    return [...(isSilent ? [] : this.#write(rest)), ...this.end()];
  }

  #write(texts: readonly NewText[]): Piece[] {
    return texts.flatMap(({ text, how }) => {
      const ended = how === 'restarts' ? this.end() : [];
      // A blank line separates messages.
      const apart: Piece[] = this.#any && how === 'begins' && !this.#open ? [{ to: 'stdout', text: '\n' }] : [];
      this.#any = true;
      this.#open = !text.endsWith('\n');
      return [...ended, ...apart, { to: 'stdout' as const, text }];
    });
  }

  #tool({ name = 'tool', input }: ToolUse): Piece[] {
    return [...this.end(), { to: 'stderr', text: `${toolLine(name, input, this.#width())}\n` }];
  }
}

const isToolUse = (block: unknown): block is ToolUse => (block as { type?: unknown } | null)?.type === 'tool_use';

const modelOf = (message: unknown): unknown => (message as { message?: { model?: unknown } } | null)?.message?.model;
