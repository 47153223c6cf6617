/** The first version with atomic batches, schedules and this year's security fixes (docs/design/facts.md#nats-server-2-14-3). */
export const MIN_VERSION = '2.14.3';
/** The version to download. */
export const PINNED_VERSION = '2.15.1';

/** The version in the output of `nats-server --version` or in a package list, such as `2.15.1`. */
export const versionIn = (text: string): string | undefined => /(?:^|[^\d.])v?(\d+\.\d+\.\d+)/.exec(text)?.[1];

/** Negative when `a` is older than `b`. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export const isNewEnough = (version: string): boolean => compareVersions(version, MIN_VERSION) >= 0;
