import { contentOfMessage, textOfMessage } from '../../../contracts/tasks/claude.js';
import type { SpawnDelta } from '../../../contracts/events/events.js';
import { MessageText, type NewText } from '../../client/message-text.js';
import { toolLine } from './tools.js';

/** What to write, and where. */
export interface Piece {
  readonly to: 'stdout' | 'stderr';
  readonly text: string;
}

interface ToolUse {
  readonly type: 'tool_use';
  readonly name?: string;
  readonly input?: unknown;
}

/** Off a terminal. */
const USUAL_WIDTH = 200;
/** Claude says its own failures as messages of this model; the task's error says them better. */
const SYNTHETIC = '<synthetic>';

/** An answer for a terminal or a file: the text to stdout, each message of whole lines, and a line for each tool beside it. */
export class AnswerText {
  readonly #width: () => number;
  readonly #messages = new MessageText();
  /** The last thing written was text without an end of line. */
  #open = false;
  #any = false;

  /** @param width columns that a line about a tool may take. */
  constructor(width: () => number = () => USUAL_WIDTH) {
    this.#width = width;
  }

  /** Whether any text of the answer was written. */
  get any(): boolean {
    return this.#any;
  }

  /** The attempt says all anew. */
  start(attempt: number): Piece[] {
    return [...this.end(), ...this.#write(this.#messages.start(attempt))];
  }

  delta(delta: SpawnDelta): Piece[] {
    return this.#write(this.#messages.delta(delta));
  }

  /** @param message a complete message of Claude's stream. */
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
      const ended = how === 'anew' ? this.end() : [];
      // Messages stand apart.
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
