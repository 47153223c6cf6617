/** The groups of checks, in the order of their findings. */
export const GROUPS = ['installation', 'cluster', 'broker', 'workers', 'claude', 'clocks', 'disk', 'events'] as const;
export type Group = (typeof GROUPS)[number];

export type FindingStatus = 'ok' | 'warning' | 'failed' | 'skipped';

/** The result of one check. */
export interface Finding {
  readonly group: Group;
  readonly title: string;
  readonly status: FindingStatus;
  readonly found: string;
  /** What to do. Absent if the status is `ok`. */
  readonly next?: string;
}

type Ok = (title: string, found: string) => Finding;
type Problem = (title: string, found: string, next: string) => Finding;

/** Functions that create the findings of a group. */
export const findingsOf = (group: Group): { ok: Ok; warning: Problem; failed: Problem; skipped: Problem } => {
  const problem =
    (status: FindingStatus): Problem =>
    (title, found, next) => ({ group, title, status, found, next });
  return {
    ok: (title, found) => ({ group, title, status: 'ok', found }),
    warning: problem('warning'),
    failed: problem('failed'),
    skipped: problem('skipped'),
  };
};

/** The message of an unexpected error. */
export const saying = (error: unknown): string => (error instanceof Error ? error.message : String(error));
