/** `ksi doctor` promises an answer within 10 s of its start. The rest is for what is printed after the deadline. */
const WITHIN_MS = 8_500;
/** A start that took long must not leave the checks without time. */
const MIN_MS = 5_000;

/** How long the checks may take together. @param elapsedMs since the start of the process */
export const timeLeft = (elapsedMs: number): number => Math.max(MIN_MS, WITHIN_MS - elapsedMs);
