/**
 * Why an attempt is stopped from outside.
 * - `fenced`: another attempt or an outcome has replaced this attempt. It may publish nothing more.
 * - `lease_lost`: this process was suspended past its lease, so another worker may run the task. It may publish nothing more.
 * - `broker_lost`: the broker was unavailable for longer than the lease. Once it is back, the worker may only publish the loss.
 * - `shutdown`: the worker stops. The attempt still holds its lease and returns the task.
 * - `timeout`, `idle`: Claude ran, or was silent, for longer than the policy allows. The attempt has failed.
 * - `memory`, `output`: Claude used more memory, or wrote more output, than a task may. The attempt has failed.
 * - `servers`: a required MCP server did not connect. The attempt has failed.
 * - `cancelled`, `interrupted`: a client requested it.
 */
export type StopReason =
  'fenced' | 'lease_lost' | 'broker_lost' | 'shutdown' | 'servers' | 'cancelled' | 'interrupted' | Fault;

const FAULTS = ['timeout', 'idle', 'memory', 'output'] as const;
type Fault = (typeof FAULTS)[number];

/** The reason of the AbortSignals that stop attempts. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
  readonly reason: StopReason;
  constructor(reason: StopReason) {
    super(`The attempt was stopped: ${reason}`);
    this.reason = reason;
  }
}

/** The limit that the attempt exceeded, if that stopped it. */
export function faultOf({ reason: stopped }: AbortSignal): Fault | undefined {
  return stopped instanceof Stopped ? FAULTS.find((fault) => fault === stopped.reason) : undefined;
}
