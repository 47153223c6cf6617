/** The phases of a run of Claude. */
export type Phase =
  /** Claude has sent no message yet. */
  | 'starting'
  /** Claude is in a turn, or works in the background. */
  | 'working'
  /** The work in the background has ended. Claude begins another turn if it has something to say about it. */
  | 'settled'
  /** Claude's input is closed, and its process should exit. */
  | 'closing'
  /** The process has closed its output in the middle of its work, and should exit. */
  | 'silent'
  /** That process has exited. */
  | 'gone'
  /** The process is being ended. */
  | 'ending';

/** The events that change a run's phase. */
export type RunEvent =
  /** Claude has sent a message. */
  | 'said'
  | 'turn_begun'
  /** The last work in the background has ended, between two turns. */
  | 'settled'
  /** A turn has ended, and nothing works in the background. */
  | 'over'
  | 'output_closed'
  | 'exited'
  /** The phase has lasted as long as it may. */
  | 'time_up'
  /** The run must end. */
  | 'stop';

const ANY = { settled: 'settled', over: 'closing', output_closed: 'silent', stop: 'ending' } as const;

/** An event that is not listed leaves the phase as it is. */
const NEXT: Readonly<Record<Phase, Readonly<Partial<Record<RunEvent, Phase>>>>> = {
  starting: { ...ANY, said: 'working', turn_begun: 'working' },
  working: { ...ANY, turn_begun: 'working' },
  settled: { ...ANY, turn_begun: 'working', time_up: 'closing' },
  // Input that came too late for a turn makes another turn.
  closing: { settled: 'settled', over: 'closing', turn_begun: 'working', time_up: 'ending', stop: 'ending' },
  silent: { settled: 'closing', over: 'closing', exited: 'gone', time_up: 'ending', stop: 'ending' },
  gone: { settled: 'closing', over: 'closing', stop: 'ending' },
  ending: {},
};

/** How long a process may take to exit, or to begin another turn. */
const EXIT_GRACE_MS = 5_000;

/** How long a phase may last. A phase that is not listed may last as long as the run. */
export const LASTS_MS: Readonly<Partial<Record<Phase, number>>> = {
  settled: EXIT_GRACE_MS,
  closing: EXIT_GRACE_MS,
  silent: EXIT_GRACE_MS,
};

/** @returns the phase that the event starts, perhaps the same phase again. Undefined: the phase continues. */
export const phaseAfter = (phase: Phase, event: RunEvent): Phase | undefined => NEXT[phase][event];
