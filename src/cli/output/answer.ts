import type { SpawnDelta } from '../../../contracts/events.js';

/** Claude's content blocks that a person wants to see. */
interface Block {
  readonly type?: string;
  readonly text?: string;
  readonly name?: string;
  readonly input?: unknown;
}

/** What to write, and where. */
export interface Piece {
  readonly to: 'stdout' | 'stderr';
  readonly text: string;
}

/**
 * Puts an answer together from deltas, which may be missed, and complete messages, which may not: what the deltas of a message didn't
 * bring, the message itself fills in. Pure but for what was written of the message under way.
 */
export class AnswerText {
  #written = '';
  #any = false;
  #ended = false;

  /** Whether any text of the answer was written. */
  get any(): boolean {
    return this.#any;
  }

  delta({ data: { text } }: SpawnDelta): Piece[] {
    const pieces = this.#begin();
    this.#written += text;
    return [...pieces, { to: 'stdout', text }];
  }

  /** @param message a complete message of Claude's stream. */
  message(message: unknown): Piece[] {
    return blocksOf(message).flatMap((block) => {
      if (block.type === 'text' && typeof block.text === 'string') return this.#text(block.text);
      if (block.type === 'tool_use')
        return [
          {
            to: 'stderr' as const,
            text: `→ ${block.name ?? 'tool'} ${JSON.stringify(block.input ?? {}).slice(0, 200)}\n`,
          },
        ];
      return [];
    });
  }

  #text(whole: string): Piece[] {
    const pieces = this.#begin();
    const written = this.#written;
    this.#written = '';
    this.#ended = true;
    if (whole.startsWith(written)) return [...pieces, { to: 'stdout', text: whole.slice(written.length) }];
    // Deltas were missed in the middle: the whole text is the one to trust.
    return [...pieces, { to: 'stdout', text: `\n${whole}` }];
  }

  /** Parts of an answer stand apart. */
  #begin(): Piece[] {
    const apart = this.#ended && this.#written === '';
    this.#ended = false;
    this.#any = true;
    return apart ? [{ to: 'stdout', text: '\n\n' }] : [];
  }
}

/** Claude says its own failures as messages of this model; the task's error says them better. */
const SYNTHETIC = '<synthetic>';

function blocksOf(message: unknown): readonly Block[] {
  const { type, message: inner } = (message ?? {}) as {
    type?: string;
    message?: { content?: unknown; model?: string };
  };
  if (type !== 'assistant' || inner?.model === SYNTHETIC) return [];
  return Array.isArray(inner?.content) ? (inner.content as Block[]) : [];
}
