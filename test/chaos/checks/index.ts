import type { History } from '../history.js';
import { disorder, gapsInAttempts, overlaps, staleWrites } from './attempts.js';
import type { Check } from './check.js';
import { damagedStreams } from './broker.js';
import { leftProcesses } from './processes.js';
import { readersMissNothing } from './readers.js';
import { cancelledAnyway, doubled, failedAnyway, lost, twoOutcomes, unfinished, wrongAnswers } from './tasks.js';

/** All that must not happen, whatever is killed. */
export const CHECKS = {
  lost,
  twoOutcomes,
  overlaps,
  disorder,
  readersMissNothing,
  gapsInAttempts,
  staleWrites,
  doubled,
  wrongAnswers,
  cancelledAnyway,
  failedAnyway,
  leftProcesses,
  damagedStreams,
  unfinished,
} as const satisfies Record<string, Check>;

export interface Finding {
  readonly title: string;
  readonly violations: readonly string[];
}

/** What each check finds. Pure. */
export const findings = (history: History): Finding[] =>
  Object.values(CHECKS).map(({ title, violations }) => ({ title, violations: violations(history) }));
