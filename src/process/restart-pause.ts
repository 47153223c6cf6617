const FIRST_MS = 500;
/** After a run of this length the process counts as healthy, and the next pause is the shortest again. */
const HEALTHY_MS = 60_000;

/**
 * How long to wait before an ended process is restarted: half a second at first, then twice as long each time, up to a maximum.
 * @param lastPauseMs the pause before the run that has just ended; 0 if it was the first.
 * @param ranMs how long that run took.
 * @param maxMs KSI_RESTART_MAX_S.
 */
export function restartPause(lastPauseMs: number, ranMs: number, maxMs: number): number {
  if (lastPauseMs === 0 || ranMs >= HEALTHY_MS) return FIRST_MS;
  return Math.min(lastPauseMs * 2, maxMs);
}
