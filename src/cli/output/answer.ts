import { contentOfMessage, textOfMessage } from '../../../contracts/claude.js';
import type { SpawnDelta } from '../../../contracts/events.js';
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
/** Deltas kept for their turn: more than one message has. */
const MOST_EARLY = 10_000;
/** Claude says its own failures as messages of this model; the task's error says them better. */
const SYNTHETIC = '<synthetic>';

/**
 * Puts an answer together from deltas, which may be missed, and complete messages, which may not: a delta is written when it goes on
 * where the text ends, and what the deltas of a message didn't bring, the message itself fills in. Nothing is written twice. As deltas
 * are not stored first, they may overtake the event before them: those wait for it.
 */
export class AnswerText {
  readonly #width: () => number;
  #attempt = 1;
  #part = 0;
  /** What is written of the message under way. */
  #written = '';
  /** The last thing written was text without an end of line. */
  #open = false;
  #any = false;
  #early: SpawnDelta[] = [];

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
    this.#attempt = attempt;
    this.#part = 0;
    this.#written = '';
    return [...this.end(), ...this.#catchUp()];
  }

  delta(delta: SpawnDelta): Piece[] {
    const { attempt, part, offset, text } = delta.data;
    if (attempt > this.#attempt || (attempt === this.#attempt && part > this.#part)) {
      if (this.#early.length < MOST_EARLY) this.#early.push(delta);
      return [];
    }
    if (attempt !== this.#attempt || part !== this.#part || offset !== this.#written.length) return [];
    return this.#write(text);
  }

  /** @param message a complete message of Claude's stream. */
  message(message: unknown): Piece[] {
    const text = textOfMessage(message);
    const pieces = text === undefined ? [] : this.#complete(text, modelOf(message) === SYNTHETIC);
    return [
      ...pieces,
      ...contentOfMessage(message)
        .filter(isToolUse)
        .flatMap((tool) => this.#tool(tool)),
      ...this.#catchUp(),
    ];
  }

  /** Ends the line. */
  end(): Piece[] {
    const open = this.#open;
    this.#open = false;
    return open ? [{ to: 'stdout', text: '\n' }] : [];
  }

  #catchUp(): Piece[] {
    const early = this.#early;
    this.#early = [];
    return early.flatMap((delta) => this.delta(delta));
  }

  #complete(whole: string, isSilent: boolean): Piece[] {
    const written = this.#written;
    const pieces = isSilent
      ? []
      : // Not so when Claude's own connection broke and it began the message anew: the whole is the one to trust.
        whole.startsWith(written)
        ? this.#write(whole.slice(written.length))
        : [...this.end(), ...this.#write(whole)];
    this.#part += 1;
    this.#written = '';
    return [...pieces, ...this.end()];
  }

  #write(text: string): Piece[] {
    if (text === '') return [];
    // Messages stand apart.
    const apart: Piece[] = this.#any && this.#written === '' && !this.#open ? [{ to: 'stdout', text: '\n' }] : [];
    this.#written += text;
    this.#any = true;
    this.#open = !text.endsWith('\n');
    return [...apart, { to: 'stdout', text }];
  }

  #tool({ name = 'tool', input }: ToolUse): Piece[] {
    return [...this.end(), { to: 'stderr', text: `${toolLine(name, input, this.#width())}\n` }];
  }
}

const isToolUse = (block: unknown): block is ToolUse => (block as { type?: unknown } | null)?.type === 'tool_use';

const modelOf = (message: unknown): unknown => (message as { message?: { model?: unknown } } | null)?.message?.model;
