import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ManagedProcess } from '../../src/cluster/managed-process.js';
import type { ProcessSpec } from '../../src/cluster/plan.js';
import { silent } from '../fixtures/connection.js';

describe('a managed process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ksi-managed-'));
  after(() => rmSync(folder, { recursive: true }));

  const spec: ProcessSpec = {
    name: 'bridge',
    role: 'bridge',
    command: process.execPath,
    args: ['-e', 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000)'],
    env: {},
    graceMs: 5_000,
    mayEnd: true,
  };
  const managed = (): ManagedProcess =>
    new ManagedProcess({
      spec,
      logFile: join(folder, 'log'),
      log: silent,
      longestPauseMs: () => 100,
      onChange: () => undefined,
    });

  it('starts again after a restart, also if it may end by itself', async () => {
    const bridge = managed();
    bridge.start();
    await bridge.restart();
    assert.equal(bridge.status().state, 'running');
    await bridge.stop();
  });

  it('ends a restart whose process cannot be started, and then pauses between its tries', async () => {
    const bridge = managed();
    bridge.start();
    await bridge.restart({ ...spec, command: join(folder, 'nothing') });
    assert.equal(bridge.status().state, 'restarting');
    assert.match(bridge.lastEnd ?? '', /could not be started|exit code 0|signal/);
    await bridge.stop();
    assert.equal(bridge.status().state, 'stopped');
  });
});
