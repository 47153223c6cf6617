import type { SharedClock } from '../broker/broker-clock.js';
import { findingsOf, type Finding } from './finding.js';
import type { Watched } from './monitor.js';
import { difference, KEEP_TIME } from './workers.js';

const { ok, warning, failed, skipped } = findingsOf('clocks');
const WARN_MS = 1_000;
/** If this server becomes leader, the broker's time jumps by this much, and tasks and tokens expire early or late. */
const FAIL_MS = 10_000;

/** Compares the clocks of this machine and of each nats-server with the broker's time. */
export async function* checkClocks(
  sharedClock: Promise<SharedClock | undefined>,
  watched: Promise<readonly Watched[]>,
): AsyncGenerator<Finding> {
  const [clock, servers] = await Promise.all([sharedClock, watched]);
  if (clock === undefined) {
    yield skipped('clocks', "could not read the broker's time", 'See broker above.');
    return;
  }
  yield machineFinding(clock.ahead());
  /** The broker's time at a reading of `performance.now()`. */
  const at = (reading: number): number => clock.now() - (performance.now() - reading);
  for (const { name, varz, asked, answered } of servers)
    if (varz !== undefined) yield serverFinding(name, at(asked), Date.parse(varz.now), at(answered));
}

export const machineFinding = (aheadMs: number): Finding =>
  Math.abs(aheadMs) < WARN_MS
    ? ok('this machine', 'agrees with the broker')
    : warning('this machine', `its clock is ${difference(aheadMs)} the broker's`, KEEP_TIME);

/** @param theirs the server's time, read between `asked` and `answered`. All times are in ms since 1970. */
export function serverFinding(name: string, asked: number, theirs: number, answered: number): Finding {
  const off = Math.round(theirs < asked ? theirs - asked : Math.max(0, theirs - answered));
  const found = `its clock is at least ${difference(off)} the clock of the broker's leader`;
  const next = 'Synchronize the clocks of the nats-servers with NTP. Tasks, retries and tokens depend on them.';
  if (Math.abs(off) >= FAIL_MS) return failed(name, found, next);
  return Math.abs(off) >= WARN_MS ? warning(name, found, next) : ok(name, 'agrees with the broker');
}
