import type { ApprovalAnswer } from '../../../contracts/tasks/approvals.js';
import { revealed } from '../output/printable.js';
import { whatRuns } from '../output/tools.js';

/** The approval of an APPROVAL_REQUESTED event. */
export interface ApprovalRequest {
  readonly approval_id: string;
  readonly kind?: string;
  readonly tool: string;
  readonly input?: Readonly<Record<string, unknown>>;
  readonly reason?: string;
}

/** The result of an entered line. */
export type Step =
  | { readonly kind: 'answer'; readonly answer: ApprovalAnswer; readonly notice: string }
  /** Ask again, with another prompt and initial text. */
  | { readonly kind: 'ask'; readonly text: string; readonly prompt: string; readonly begin?: string };

/** A question in the chat: its first prompt, and the handling of each entered line. */
export interface Question {
  readonly first: Extract<Step, { kind: 'ask' }>;
  next(entered: string): Step;
}

export const questionOf = (request: ApprovalRequest): Question => {
  if (request.kind === 'plan') return new PlanQuestion(request);
  return request.kind === 'question' && choicesIn(request.input).length > 0
    ? new ChoiceQuestion(request)
    : new ToolQuestion(request);
};

const TOOL_PROMPT = 'allow? y, s for the whole session, n, n WHY, or e to edit › ';

/** Asks whether a tool may be used: yes, no with an optional reason, or with another input. */
class ToolQuestion implements Question {
  readonly #request: ApprovalRequest;
  #editing = false;

  constructor(request: ApprovalRequest) {
    this.#request = request;
  }

  get first(): Extract<Step, { kind: 'ask' }> {
    const { tool, reason, input } = this.#request;
    const why = reason === undefined ? '' : `\n  ${revealed(reason)}`;
    return { kind: 'ask', text: `Claude asks to use ${tool}: ${whatRuns(tool, input)}${why}`, prompt: TOOL_PROMPT };
  }

  next(entered: string): Step {
    if (this.#editing) return this.#edited(entered);
    const [, word = '', why = ''] = /^\s*(\S*)\s*([^]*)$/.exec(entered) ?? [];
    switch (word.toLowerCase()) {
      case 'y':
      case 'yes':
      case 'a':
      case 'allow':
        return { kind: 'answer', answer: { decision: 'allow' }, notice: 'allowed' };
      case 's':
        return {
          kind: 'answer',
          answer: { decision: 'allow', always: { scope: 'session' } },
          notice: 'allowed in this session',
        };
      case 'n':
      case 'no':
      case 'd':
      case 'deny':
        return denied(why);
      case 'e':
      case 'edit':
        this.#editing = true;
        return this.#edit();
      default:
        return { kind: 'ask', text: '', prompt: TOOL_PROMPT };
    }
  }

  #edit(text = ''): Step {
    const { input = {} } = this.#request;
    const { command } = input;
    const begin = typeof command === 'string' ? command : JSON.stringify(input);
    return { kind: 'ask', text, prompt: 'run instead › ', begin };
  }

  #edited(entered: string): Step {
    const { input = {} } = this.#request;
    const answered = (changed: Record<string, unknown>): Step => ({
      kind: 'answer',
      answer: { decision: 'allow', input: changed },
      notice: 'allowed as edited',
    });
    if (entered.trim() === '') {
      this.#editing = false;
      return { kind: 'ask', text: '', prompt: TOOL_PROMPT };
    }
    if (typeof input['command'] === 'string') return answered({ ...input, command: entered });
    try {
      const changed: unknown = JSON.parse(entered);
      if (typeof changed === 'object' && changed !== null && !Array.isArray(changed))
        return answered(changed as Record<string, unknown>);
    } catch (error) {
      return this.#edit(`It must be a JSON object: ${(error as Error).message}`);
    }
    return this.#edit('It must be a JSON object.');
  }
}

/** @param why the reason for Claude; blank: none. */
function denied(why: string): Step {
  const message = why.trim();
  return { kind: 'answer', answer: { decision: 'deny', ...(message === '' ? {} : { message }) }, notice: 'denied' };
}

/** Claude's plan, with hidden characters escaped. */
export const planOf = ({ tool, input }: Pick<ApprovalRequest, 'tool' | 'input'>): string =>
  typeof input?.['plan'] === 'string' ? revealed(input['plan']) : whatRuns(tool, input);

const PLAN_PROMPT = 'carry it out? y, a for all edits too, n, n WHY › ';

/** Asks whether a plan may be carried out, and whether its edits need approvals. */
class PlanQuestion implements Question {
  readonly first: Extract<Step, { kind: 'ask' }>;

  constructor(request: ApprovalRequest) {
    this.first = {
      kind: 'ask',
      text: `Claude's plan:\n${planOf(request)}`,
      prompt: PLAN_PROMPT,
    };
  }

  next(entered: string): Step {
    const [, word = '', why = ''] = /^\s*(\S*)\s*([^]*)$/.exec(entered) ?? [];
    switch (word.toLowerCase()) {
      case 'y':
      case 'yes':
        return { kind: 'answer', answer: { decision: 'allow' }, notice: 'allowed' };
      case 'a':
        return {
          kind: 'answer',
          answer: { decision: 'allow', permission_mode: 'acceptEdits' },
          notice: 'allowed, with its edits',
        };
      case 'n':
      case 'no':
        return denied(why);
      default:
        return { kind: 'ask', text: '', prompt: PLAN_PROMPT };
    }
  }
}

export interface Choice {
  readonly question: string;
  readonly multiSelect?: boolean;
  readonly options: readonly { readonly label: string; readonly description?: string }[];
}

/** Claude's own questions, one after the other. Answers are option numbers or free text. */
class ChoiceQuestion implements Question {
  readonly #choices: readonly Choice[];
  readonly #answers: Record<string, string> = {};
  #at = 0;

  constructor({ input }: ApprovalRequest) {
    this.#choices = choicesIn(input);
  }

  get first(): Extract<Step, { kind: 'ask' }> {
    return this.#ask();
  }

  next(entered: string): Step {
    const choice = this.#choices[this.#at];
    const answer = choice === undefined ? undefined : answerOf(entered, choice);
    if (choice === undefined || answer === undefined) return { ...this.#ask(), text: '' };
    this.#answers[choice.question] = answer;
    this.#at += 1;
    if (this.#at < this.#choices.length) return this.#ask();
    return { kind: 'answer', answer: { decision: 'allow', answers: this.#answers }, notice: 'answered' };
  }

  #ask(): Extract<Step, { kind: 'ask' }> {
    const { question = '', options = [], multiSelect } = this.#choices[this.#at] ?? {};
    const offered = options.map(
      ({ label, description }, index) =>
        `\n  ${index + 1}  ${label}${description === undefined || description === '' ? '' : `: ${description}`}`,
    );
    const many = multiSelect === true ? 'numbers, comma-separated' : 'a number';
    return {
      kind: 'ask',
      text: `Claude asks: ${question}${offered.join('')}`,
      prompt: offered.length === 0 ? 'answer › ' : `${many}, or your own words › `,
    };
  }
}

function answerOf(entered: string, { options, multiSelect }: Choice): string | undefined {
  const text = entered.trim();
  if (text === '') return undefined;
  if (!/^\d+(\s*,\s*\d+)*$/.test(text)) return text;
  const labels = text.split(',').map((number) => options[Number(number) - 1]?.label);
  if (labels.some((label) => label === undefined) || (labels.length > 1 && multiSelect !== true)) return undefined;
  return labels.join(', ');
}

/** The questions in the input of Claude's AskUserQuestion tool. */
export function choicesIn(input: ApprovalRequest['input']): Choice[] {
  const questions = input?.['questions'];
  if (!Array.isArray(questions)) return [];
  return (questions as Partial<Choice>[]).flatMap(({ question, multiSelect, options }) =>
    typeof question === 'string'
      ? [{ question, multiSelect: multiSelect === true, options: Array.isArray(options) ? options : [] }]
      : [],
  );
}
