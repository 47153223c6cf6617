import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { MAX_QUEUES } from '../../contracts/config/config.js';
import { STREAM } from '../../contracts/wire/names.js';
import { LIMITED_STREAMS, streamLimits, storeLimit } from '../../contracts/broker/stream-limits.js';
import { consumerSpecs, streamSpecs } from '../../contracts/broker/topology.js';
import { ConfigError, readConfig } from '../../src/config/load.js';
import { REPO_ROOT } from '../fixtures/paths.js';

const faultsOf = (env: Record<string, string>): readonly string[] => {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.faults;
  }
};
const queues = (count: number): string => Array.from({ length: count }, (_, n) => `q${n}`).join(',');

describe('the limits of streams', () => {
  it('every stream has one, and the operator can set it', () => {
    const config = readConfig({});
    for (const { name, max_bytes: most } of streamSpecs(config)) {
      assert.equal(most, streamLimits(config)[name]);
      assert.ok(Number(most) > 0, name);
      const own: Record<string, string> = {
        [STREAM.commands]: 'KSI_QUEUE_MAX_BYTES',
        [STREAM.events]: 'KSI_EVENTS_MAX_BYTES',
      };
      const env = own[name] === undefined ? { KSI_STREAM_MAX_BYTES: `${name}=7654321` } : { [own[name]]: '7654321' };
      assert.equal(streamSpecs(readConfig(env)).find((spec) => spec.name === name)?.['max_bytes'], 7_654_321, name);
    }
  });

  it('the store of a nats-server has room for all of them', () => {
    const config = readConfig({ KSI_STREAM_MAX_BYTES: 'KSI_AUDIT=9000000000' });
    const sum = streamSpecs(config).reduce((bytes, { max_bytes: most }) => bytes + Number(most), 0);
    assert.ok(storeLimit(config) > sum);
  });

  it('docs/reliability.md shows them', () => {
    const doc = readFileSync(join(REPO_ROOT, 'docs/reliability.md'), 'utf8').replaceAll(/ +/g, ' ');
    const limits = streamLimits(readConfig({}));
    for (const stream of LIMITED_STREAMS)
      assert.ok(doc.includes(`| \`${stream}\` | ${Number(limits[stream]) / 1_048_576} MiB |`), stream);
  });

  it('unknown streams, streams with their own variable, and limits that are too small are refused', () => {
    for (const [text, why] of [
      ['KSI_NOTHING=5000000', /names KSI_NOTHING, which does not exist/],
      ['KSI_EVENTS=5000000', /set KSI_EVENTS_MAX_BYTES instead/],
      ['KSI_AUDIT=5', /gives KSI_AUDIT 5 bytes: the minimum is 1048576/],
    ] as const)
      assert.match(faultsOf({ KSI_STREAM_MAX_BYTES: text }).join('\n'), why);
  });
});

describe('the number of queues', () => {
  it('is limited, and a queue may be named only once', () => {
    assert.deepEqual(faultsOf({ KSI_QUEUES: queues(MAX_QUEUES) }), []);
    assert.match(faultsOf({ KSI_QUEUES: queues(MAX_QUEUES + 1) }).join('\n'), /names 301 queues, .* at most 300/);
    assert.match(faultsOf({ KSI_QUEUES: 'a,b,a' }).join('\n'), /names a twice/);
  });

  it('the broker has capacity for the consumers of that many queues', () => {
    const conf = readFileSync(join(REPO_ROOT, 'nats.conf'), 'utf8');
    const most = Number(/default_max_consumers: (\d+)/.exec(conf)?.[1]);
    const specs = consumerSpecs(readConfig({ KSI_QUEUES: queues(MAX_QUEUES) }));
    assert.ok(specs.filter(({ stream }) => stream === STREAM.commands).length <= most);
  });
});
