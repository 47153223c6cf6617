import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fromSeed } from '@nats-io/nkeys';
import { renderNatsConf } from '../../src/cluster/nats-conf.js';
import { workerKey } from '../../src/cluster/worker-keys.js';
import { REPO_ROOT } from '../fixtures/paths.js';

const CONF = readFileSync(join(REPO_ROOT, 'nats.conf'), 'utf8');
const users = (role: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    name: `${role}${index + 1}`,
    key: `U${role.toUpperCase()}${index + 1}`,
  }));
const count = (text: string, part: string): number => text.split(part).length - 1;

describe("the broker's configuration", () => {
  it('has a user for each worker, whose permissions name no other worker', () => {
    const conf = renderNatsConf(CONF, { workers: users('worker-', 12), agents: [], tls: false });
    for (const n of [1, 2, 11, 12]) {
      assert.equal(count(conf, `nkey: UWORKER-${n}\n`), 1);
      assert.equal(count(conf, `"ksi.control.worker-${n}.>"`), 1);
      assert.equal(count(conf, `"$KV.ksi_workers.worker-${n}.*"`), 1);
      assert.equal(count(conf, `"_INBOX_worker-${n}.>"`), 2);
    }
    assert.doesNotMatch(conf, /NKEY_WORKER_1$/m);
  });

  it('has a user for each NATS agent', () => {
    const none = renderNatsConf(CONF, { workers: users('worker-', 1), agents: [], tls: false });
    assert.doesNotMatch(none, /agent-(?!tools)|KSI_MESSAGES\.inbox|\$KSI_NKEY_AGENT_1$/m);
    const agents = [
      { name: 'alice', key: 'UALICE' },
      { name: 'agent-1', key: 'UONE' },
    ];
    const conf = renderNatsConf(CONF, { workers: [], agents, tls: false });
    for (const { name, key } of agents) {
      assert.equal(count(conf, `"AGENT_${name}" {`), 1);
      assert.equal(count(conf, `nkey: ${key}\n`), 1);
      assert.equal(count(conf, `"_INBOX_agent-${name}.>"`), 1);
    }
    assert.equal(count(conf, 'inbox-alice'), count(conf, 'inbox-agent-1'));
  });

  it('has TLS for clients and routes if it is enabled', () => {
    const choices = { workers: users('worker-', 1), agents: [] };
    assert.equal(count(renderNatsConf(CONF, { ...choices, tls: false }), 'tls {'), 0);
    const conf = renderNatsConf(CONF, { ...choices, tls: true });
    assert.equal(conf.match(/^ *tls \{ cert_file: \$KSI_NATS_TLS_CERT/gm)?.length, 2);
  });

  it('is refused if the template lacks a block', () => {
    const conf = CONF.replaceAll('each agent {', 'agent {');
    assert.throws(() => renderNatsConf(conf, { workers: [], agents: [], tls: false }), /no block "# each agent/);
  });
});

describe("a worker's key at the broker", () => {
  const secret = new Uint8Array(32).fill(7);

  it('is a key pair that is derived from its name and the secret', () => {
    const key = workerKey(secret, 'worker-1');
    assert.equal(fromSeed(new TextEncoder().encode(key.seed)).getPublicKey(), key.publicKey);
    assert.match(key.seed, /^SU[A-Z2-7]{56}$/);
    assert.deepEqual(workerKey(secret, 'worker-1'), key);
    assert.notEqual(workerKey(secret, 'worker-2').seed, key.seed);
    assert.notEqual(workerKey(new Uint8Array(32), 'worker-1').seed, key.seed);
  });
});
