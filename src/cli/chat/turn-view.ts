import type { EventEnvelope } from '../../../contracts/events/events.js';
import type { TaskStatus } from '../../../contracts/tasks/states.js';
import { isDelta, type LiveDelta } from '../../client/event-message.js';
import { outcomeOf, type TaskOutcome } from '../../client/outcome.js';
import { AnswerText, type Piece } from '../output/answer.js';
import { duration } from '../output/times.js';
import { resultLine, toolResultsOf } from '../output/tools.js';
import type { ApprovalRequest } from './question.js';

/** The effect of one message of a task on the chat. */
export interface TurnUpdate {
  /** Output. `stdout` is Claude's answer, `stderr` is everything else. */
  readonly pieces: readonly Piece[];
  /** The label of the spinner. */
  readonly label?: string;
  readonly request?: ApprovalRequest;
  /** An approval that is no longer pending, and its decision. */
  readonly resolved?: { readonly id: string; readonly decision: string };
  readonly ended?: Ended;
}

export interface Ended {
  readonly status: TaskStatus | 'deleted';
  /** `3s, $0.0123`, or why the task did not complete. */
  readonly summary: string;
}

/** Converts the events and deltas of a task for the chat. */
export class TurnView {
  readonly #answer: AnswerText;
  readonly #width: () => number;
  #started: number | undefined;

  /** @param width the columns of the terminal. */
  constructor(width: () => number) {
    this.#width = width;
    this.#answer = new AnswerText(width);
  }

  show(message: EventEnvelope | LiveDelta): TurnUpdate {
    if (isDelta(message)) return { pieces: this.#answer.delta(message), label: 'writing' };
    const { type, data } = message;
    switch (type) {
      case 'SPAWN_QUEUED':
        return { pieces: [], label: 'queued' };
      case 'SPAWN_WAITING':
        return {
          pieces: [],
          label:
            data['reason'] === 'workspace_busy'
              ? 'waiting for another task in the workspace'
              : 'waiting for another task of this session',
        };
      case 'SPAWN_START':
        this.#started ??= Date.parse(message.timestamp);
        return { pieces: this.#answer.start(Number(data['attempt'])), label: 'thinking' };
      case 'SPAWN_RETRY':
        return this.#note(`the attempt ended (${String(data['reason'])}); retrying`, 'retrying');
      case 'SPAWN_MESSAGE':
        return this.#message(data['message']);
      case 'APPROVAL_REQUESTED':
        return { pieces: this.#answer.end(), request: data as unknown as ApprovalRequest };
      case 'APPROVAL_RESOLVED':
        return { pieces: [], resolved: { id: String(data['approval_id']), decision: String(data['decision']) } };
      case 'TASK_DELETED':
        return { pieces: this.#answer.end(), ended: { status: 'deleted', summary: 'the task was deleted' } };
      default:
        return this.#end(message);
    }
  }

  #message(message: unknown): TurnUpdate {
    const pieces = this.#answer.message(message);
    const results = toolResultsOf(message);
    const lines = results.map((result) => ({ to: 'stderr' as const, text: `${resultLine(result, this.#width())}\n` }));
    const tools = pieces.filter(({ to }) => to === 'stderr').length;
    return { pieces: [...pieces, ...lines], ...(tools > 0 ? { label: 'using a tool' } : { label: 'thinking' }) };
  }

  #note(text: string, label: string): TurnUpdate {
    return { pieces: [...this.#answer.end(), { to: 'stderr', text: `${text}\n` }], label };
  }

  #end(message: EventEnvelope): TurnUpdate {
    const outcome = outcomeOf(message);
    if (outcome === undefined) return { pieces: [] };
    const { status, output } = outcome;
    const pieces = this.#answer.end();
    const result = output?.['result'];
    const words: Piece[] =
      status === 'completed' && !this.#answer.any && typeof result === 'string' && result !== ''
        ? [{ to: 'stdout', text: `${result}\n` }]
        : [];
    const summary = summaryOf(outcome, this.#secondsTo(message.timestamp));
    return { pieces: [...pieces, ...words], ended: { status, summary } };
  }

  #secondsTo(timestamp: string): number | undefined {
    return this.#started === undefined ? undefined : (Date.parse(timestamp) - this.#started) / 1_000;
  }
}

/** Shorter durations are shown with tenths. */
const SHORT_S = 10;

function summaryOf({ status, error, reason, usage }: TaskOutcome, seconds: number | undefined): string {
  const figures = [
    seconds === undefined ? '' : seconds < SHORT_S ? `${seconds.toFixed(1)}s` : duration(seconds),
    usage === undefined || usage.cost_usd === 0 ? '' : `$${usage.cost_usd.toFixed(4)}`,
  ].filter((figure) => figure !== '');
  if (status === 'completed') return figures.join(', ');
  if (error?.code === 'claude_interrupted') return ['interrupted', ...figures].join(', ');
  return error === undefined
    ? `${status}${reason === undefined ? '' : ` (${reason})`}`
    : `${error.code}: ${error.message}`;
}
