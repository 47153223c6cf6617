const FIRST_MS = 500;
/** A process that ran so long was healthy: its next end begins the count anew. */
const HEALTHY_MS = 60_000;

/**
 * How long to wait before a process that ended is started again: half a second, doubling to the longest.
 * @param lastPauseMs the pause before the run that has just ended; 0 if it was the first.
 * @param ranMs how long that run took.
 * @param longestMs KSI_RESTART_MAX_S.
 */
export function restartPause(lastPauseMs: number, ranMs: number, longestMs: number): number {
  if (lastPauseMs === 0 || ranMs >= HEALTHY_MS) return FIRST_MS;
  return Math.min(lastPauseMs * 2, longestMs);
}
