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

/** The broker's streams and consumers against the contract. @param servers those that can be asked over HTTP. */
export async function* checkBroker(
  broker: Broker,
  config: Config,
  servers: readonly MonitoredServer[],
): AsyncGenerator<Finding> {
  const { version = '', server_name: name = '' } = broker.nc.info ?? {};
  yield isNewEnough(version)
    ? ok('version', `nats-server ${version} (${name})`)
    : failed('version', `nats-server ${version}`, `Use ${MIN_VERSION} or later.`);
  const asked = askConsumers(broker, config);
  const { findings, missing } = await checkStreams(broker, config, servers);
  yield* findings;
  yield consumersFinding((await asked).filter(({ stream }) => !missing.has(stream)));
  if (missing.size === 0) yield* checkContents(broker);
  else yield skipped('contents', 'streams are missing or do not answer', 'Fix the streams above and run this again.');
}

async function* checkContents(broker: Broker): AsyncGenerator<Finding> {
  const waiting = await subjectsOf(broker, STREAM.commands, SUBJECT.allWaiting);
  const sessions = [...new Set(waiting.map((subject) => subject.slice(subject.lastIndexOf('.') + 1)))];
  const runs = await forEach(sessions, (id) => lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(id)));
  const stuck = runs.filter((run) => run === undefined).length;
  yield stuck === 0
    ? ok('sessions', `${sessions.length} have waiting tasks, each behind a run`)
    : warning(
        'sessions',
        `${stuck} have waiting tasks and no run`,
        'APIs mend that every 10 s; if it stays, look into their logs: ksi logs',
      );
  const dead = await subjectsOf(broker, STREAM.dead, SUBJECT.deadAll);
  yield dead.length === 0
    ? ok('dead letters', 'none')
    : warning(
        'dead letters',
        `${dead.length} tasks were given up`,
        'Look at them: ksi dead; put them back: ksi dead retry --all',
      );
}
