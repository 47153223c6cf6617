/**
 * Why an attempt is stopped from outside.
 * - `fenced`: another attempt, or an outcome, has taken its place: it may publish nothing more.
 * - `lease_lost`: this process stood still past its lease: another worker may have the task by now. Nothing more either.
 * - `broker_lost`: the broker was away for longer than the lease allows. Nothing more, but for that when it is back.
 * - `shutdown`: the worker stops; the attempt still holds its lease and gives the task back.
 * - `timeout`, `idle`: it took longer, or was silent for longer, than its policy allows: it has failed.
 * - `memory`, `output`: it used more, or wrote more, than a task may: it has failed.
 * - `servers`: an MCP server that it cannot do without did not connect: it has failed.
 * - `cancelled`, `interrupted`: somebody asked for it.
 */
export type StopReason =
  | 'fenced'
  | 'lease_lost'
  | 'broker_lost'
  | 'shutdown'
  | 'timeout'
  | 'idle'
  | 'memory'
  | 'output'
  | 'servers'
  | 'cancelled'
  | 'interrupted';

/** The reason of the AbortSignals that stop attempts. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
  readonly reason: StopReason;
  constructor(reason: StopReason) {
    super(`The attempt was stopped: ${reason}`);
    this.reason = reason;
  }
}
