import type { EventEnvelope } from '../../../contracts/events/events.js';
import { isDelta, isEvent, type EventMessage } from '../../client/event-message.js';
import { outcomeOf, type TaskOutcome } from '../../client/outcome.js';
import { AnswerText, type Piece } from './answer.js';
import { whatRuns } from './tools.js';

/** Prints the events and deltas of a task as readable text. */
export class AnswerPrinter {
  readonly #write: (piece: Piece) => void;
  readonly #answer: AnswerText;

  /** @param width the maximum columns of a line about a tool. */
  constructor(write: (piece: Piece) => void, width?: () => number) {
    this.#write = write;
    this.#answer = new AnswerText(width);
  }

  /** @returns the outcome if the message is one. */
  show(message: EventMessage): TaskOutcome | undefined {
    if (isDelta(message)) this.#out(this.#answer.delta(message));
    if (!isEvent(message)) return undefined;
    const { type, data } = message;
    if (type === 'SPAWN_START') this.#out(this.#answer.start(Number(data['attempt'])));
    if (type === 'SPAWN_MESSAGE') this.#out(this.#answer.message(data['message']));
    if (type === 'APPROVAL_REQUESTED') this.#note(approvalText(data));
    if (type === 'APPROVAL_RESOLVED') this.#note(`answered: ${String(data['decision'])}`);
    if (type === 'SPAWN_WAITING')
      this.#note(
        `waiting: the ${data['reason'] === 'workspace_busy' ? 'workspace' : 'session'} is busy with another task`,
      );
    if (type === 'SPAWN_RETRY') this.#note(`the attempt ended (${String(data['reason'])}); retrying`);
    const outcome = outcomeOf(message);
    if (outcome === undefined) return undefined;
    this.#out(this.#answer.end());
    if (outcome.status === 'completed' && !this.#answer.any)
      this.#out([{ to: 'stdout', text: `${resultOf(outcome.output)}\n` }]);
    return outcome;
  }

  #note(text: string): void {
    this.#out([...this.#answer.end(), { to: 'stderr', text: `${text}\n` }]);
  }

  #out(pieces: readonly Piece[]): void {
    for (const piece of pieces) this.#write(piece);
  }
}

const approvalText = ({ approval_id: id, tool, input }: EventEnvelope['data']): string =>
  `Claude asks to use ${String(tool)}: ${whatRuns(String(tool), input as Record<string, unknown>)}\nAnswer with: ksi approvals allow ${String(id)}, or deny`;

function resultOf(output: unknown): string {
  const result = (output as { result?: unknown } | undefined)?.result;
  return typeof result === 'string' ? result : JSON.stringify(output ?? {});
}
