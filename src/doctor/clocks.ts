import { systemClock } from '../clock.js';
import { findingsOf, type Finding } from './finding.js';
import { monitored } from './monitor.js';

const { ok, warning, failed, skipped } = findingsOf('clocks');
const WARN_MS = 1_000;
/** Reset times, schedules and expiries are off by as much. */
const FAIL_MS = 10_000;

/** This machine's clock against each nats-server's. */
export async function* checkClocks(monitors: readonly string[]): AsyncGenerator<Finding> {
  if (monitors.length === 0)
    yield skipped('broker', 'its clock is not known', 'Look at its monitoring, if it has one.');
  for (const url of monitors) {
    const asked = systemClock.now();
    const server = await monitored(url);
    const answered = systemClock.now();
    if (server !== undefined) yield clockFinding(server.server_name, asked, Date.parse(server.now), answered);
  }
}

/** Pure. @param theirs their time, read between `asked` and `answered` by ours; all in ms since 1970. */
export function clockFinding(name: string, asked: number, theirs: number, answered: number): Finding {
  const off = theirs < asked ? theirs - asked : Math.max(0, theirs - answered);
  const next = 'Keep the clocks of all machines with NTP (chrony, systemd-timesyncd).';
  const found = `${Math.abs(off)} ms ${off < 0 ? 'behind' : 'ahead of'} this machine's clock, at least`;
  if (Math.abs(off) >= FAIL_MS) return failed(name, found, next);
  return Math.abs(off) >= WARN_MS ? warning(name, found, next) : ok(name, 'agrees with this machine');
}
