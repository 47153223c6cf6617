import type { Composition, CompositionChoice, SelectRequest } from '../../contracts/prompts/compositions.js';

/** What an agent has that fits none. */
export const DEFAULT_COMPOSITION = 'claude_agent_default';

export interface Score {
  readonly composition: string;
  readonly score: number;
  readonly reasons: readonly string[];
}

/**
 * How well a composition's metadata fits (docs/prompts.md): a same role 30, a compatible one 20; the share held of the capabilities that it
 * requires × 25; one that it provides 10; words of the task in its description 5 each, to 15, in its tags 3 each, to 10; version ≥ 2: 5;
 * two use cases 3; tested 2.
 */
export function scoreOf({ name, version, description, metadata }: Composition, wanted: SelectRequest): Score {
  const reasons: string[] = [];
  let score = 0;
  const add = (points: number, reason: string): void => {
    if (points <= 0) return;
    score += points;
    reasons.push(`${reason} (+${Number(points.toFixed(2))})`);
  };
  const role = wanted.role?.toLowerCase();
  const itsRole = metadata['role'];
  if (role !== undefined && role !== '') {
    if (typeof itsRole === 'string' && itsRole.toLowerCase() === role) add(30, `role ${role}`);
    else if (texts(metadata['compatible_roles']).some((other) => other.toLowerCase() === role))
      add(20, `compatible role ${role}`);
  }
  const held = new Set(wanted.capabilities);
  const required = [...new Set(texts(metadata['capabilities_required']))];
  const matching = required.filter((capability) => held.has(capability));
  if (required.length > 0) add((matching.length / required.length) * 25, `has ${matching.join(', ')}`);
  const provided = texts(metadata['capabilities_provided']).filter((capability) => held.has(capability));
  if (provided.length > 0) add(10, `provides ${provided.join(', ')}`);
  const words = wanted.task?.toLowerCase().split(/\s+/).filter(Boolean) ?? [];
  const about = description.toLowerCase();
  const inDescription = words.filter((word) => about.includes(word)).length;
  add(Math.min(inDescription * 5, 15), `${inDescription} words of the task in its description`);
  const tags = texts(metadata['tags']).map((tag) => tag.toLowerCase());
  const inTags = words.filter((word) => tags.some((tag) => tag.includes(word))).length;
  add(Math.min(inTags * 3, 10), `${inTags} words of the task in its tags`);
  if (Number.parseFloat(version) >= 2) add(5, `version ${version}`);
  if (texts(metadata['use_cases']).length >= 2) add(3, 'use cases');
  if (metadata['tested'] === true) add(2, 'tested');
  return { composition: name, score, reasons };
}

/** Those that score at all, the best first; of equal ones the first by name. */
export const ranked = (compositions: readonly Composition[], wanted: SelectRequest): Score[] =>
  compositions
    .map((composition) => scoreOf(composition, wanted))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score || (a.composition < b.composition ? -1 : 1));

/** The one that fits best, or the default one. */
export function choiceOf([best]: readonly Score[]): CompositionChoice {
  return best === undefined
    ? { composition: DEFAULT_COMPOSITION, score: 0, reasons: ['none fits'], fallback: true }
    : { ...best, reasons: [...best.reasons], fallback: false };
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
