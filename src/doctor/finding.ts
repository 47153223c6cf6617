/** What is looked at, in this order. */
export const GROUPS = ['installation', 'cluster', 'broker', 'workers', 'claude', 'clocks', 'disk', 'events'] as const;
export type Group = (typeof GROUPS)[number];

export type FindingStatus = 'ok' | 'warning' | 'failed' | 'skipped';

/** What one check found. */
export interface Finding {
  readonly group: Group;
  readonly title: string;
  readonly status: FindingStatus;
  readonly found: string;
  /** What to do; of all that is not `ok`. */
  readonly next?: string;
}

type Check = (title: string, found: string) => Finding;
type Complaint = (title: string, found: string, next: string) => Finding;

/** Makes the findings of a group. */
export const findingsOf = (group: Group): { ok: Check; warning: Complaint; failed: Complaint; skipped: Complaint } => {
  const complaint =
    (status: FindingStatus): Complaint =>
    (title, found, next) => ({ group, title, status, found, next });
  return {
    ok: (title, found) => ({ group, title, status: 'ok', found }),
    warning: complaint('warning'),
    failed: complaint('failed'),
    skipped: complaint('skipped'),
  };
};

/** What an unexpected failure says of itself. */
export const saying = (error: unknown): string => (error instanceof Error ? error.message : String(error));
