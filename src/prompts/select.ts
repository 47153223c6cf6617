import type { Composition, CompositionChoice, SelectRequest } from '../../contracts/prompts/compositions.js';

/** The composition of an agent that no other composition fits. */
export const DEFAULT_COMPOSITION = 'claude_agent_default';

export interface Score {
  readonly composition: string;
  readonly score: number;
  readonly reasons: readonly string[];
}

/**
 * Scores how well a composition fits an agent, by its metadata (docs/prompts.md): same role 30, compatible role 20; 25 × the share of required
 * capabilities that the agent has; any provided capability 10; task words in the description 5 each, at most 15; task words in the tags 3
 * each, at most 10; version 2 or later 5; two or more use cases 3; tested 2.
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
  const ownRole = metadata['role'];
  if (role !== undefined && role !== '') {
    if (typeof ownRole === 'string' && ownRole.toLowerCase() === role) add(30, `role ${role}`);
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
  add(Math.min(inDescription * 5, 15), `${inDescription} words of the task in the description`);
  const tags = texts(metadata['tags']).map((tag) => tag.toLowerCase());
  const inTags = words.filter((word) => tags.some((tag) => tag.includes(word))).length;
  add(Math.min(inTags * 3, 10), `${inTags} words of the task in the tags`);
  if (Number.parseFloat(version) >= 2) add(5, `version ${version}`);
  if (texts(metadata['use_cases']).length >= 2) add(3, 'use cases');
  if (metadata['tested'] === true) add(2, 'tested');
  return { composition: name, score, reasons };
}

/** The compositions with a score above 0, best first, then by name. */
export const ranked = (compositions: readonly Composition[], wanted: SelectRequest): Score[] =>
  compositions
    .map((composition) => scoreOf(composition, wanted))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score || (a.composition < b.composition ? -1 : 1));

/** The best composition, or the default. */
export function choiceOf([best]: readonly Score[]): CompositionChoice {
  return best === undefined
    ? { composition: DEFAULT_COMPOSITION, score: 0, reasons: ['none fits'], fallback: true }
    : { ...best, reasons: [...best.reasons], fallback: false };
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
