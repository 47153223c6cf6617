import type { ApprovalAnswer } from '../../contracts/tasks/approvals.js';

/** The tool with which Claude asks its user a question. */
export const QUESTION = 'AskUserQuestion';

type Input = Readonly<Record<string, unknown>>;

/**
 * Why Claude cannot use an answer. Claude would take an unusable answer for a refusal. Pure.
 * @param input the tool's input from Claude. @returns undefined: the answer is usable.
 */
export function answerFault(
  tool: string,
  input: Input,
  { decision, input: edited, answers }: ApprovalAnswer,
): string | undefined {
  if (decision === 'deny') return undefined;
  if (tool !== QUESTION) return answers === undefined ? undefined : `are for questions, and this asks to use ${tool}`;
  const given = Object.keys(answers ?? (edited?.['answers'] as object | undefined) ?? {});
  const questionTexts = textsOf((edited ?? input)['questions']);
  const unknown = given.find((text) => !questionTexts.includes(text));
  if (given.length > 0 && unknown === undefined) return undefined;
  const why = unknown === undefined ? 'are missing' : `answer ${JSON.stringify(unknown)}, which is not asked`;
  return `${why}. Asked is ${questionTexts.map((text) => JSON.stringify(text)).join(', ')}`;
}

const textsOf = (questions: unknown): string[] =>
  (Array.isArray(questions) ? questions : [])
    .map((each: unknown) => ((each ?? {}) as { question?: unknown }).question)
    .filter((text) => typeof text === 'string');
