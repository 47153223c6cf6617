import type { Config } from '../../contracts/config/config.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { lastBySubject, subjectsOf } from '../broker/read.js';
import { isNewEnough, MIN_VERSION } from '../cluster/nats-server/version.js';
import { findingsOf, type Finding } from './finding.js';
import type { MonitoredServer } from './monitor.js';
import { forEach } from './sections.js';
import { askConsumers, checkStreams, consumersFinding } from './streams.js';

const { ok, warning, failed, skipped } = findingsOf('broker');

/** Compares the broker's streams and consumers with the contract. @param servers those with HTTP monitoring; empty with an external broker */
export async function* checkBroker(
  broker: Broker,
  config: Config,
  servers: readonly MonitoredServer[],
): AsyncGenerator<Finding> {
  const { version = '', server_name: name = '' } = broker.nc.info ?? {};
  yield isNewEnough(version)
    ? ok('version', `nats-server ${version} (${name})`)
    : failed('version', `nats-server ${version}`, `Use ${MIN_VERSION} or later.`);
  const consumers = askConsumers(broker, config);
  const { findings, missing } = await checkStreams(broker, config, servers);
  yield* findings;
  yield consumersFinding((await consumers).filter(({ stream }) => !missing.has(stream)));
  if (missing.size === 0) yield* checkContents(broker);
  else yield skipped('contents', 'streams are missing or do not answer', 'Fix the streams above and run this again.');
}

async function* checkContents(broker: Broker): AsyncGenerator<Finding> {
  const waiting = await subjectsOf(broker, STREAM.commands, SUBJECT.allWaiting);
  const sessions = [...new Set(waiting.map((subject) => subject.slice(subject.lastIndexOf('.') + 1)))];
  const runs = await forEach(sessions, (id) => lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(id)));
  const stuck = runs.filter((run) => run === undefined).length;
  yield stuck === 0
    ? ok('sessions', `${sessions.length} have waiting tasks, and each has a run`)
    : warning(
        'sessions',
        `${stuck} have waiting tasks but no run`,
        'The APIs repair this every 10 s. If it stays, see their logs: ksi logs',
      );
  const dead = await subjectsOf(broker, STREAM.dead, SUBJECT.deadAll);
  yield dead.length === 0
    ? ok('dead letters', 'none')
    : warning(
        'dead letters',
        `${dead.length} tasks were given up`,
        'List them: ksi dead. Retry them: ksi dead retry --all',
      );
}
