import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ConfigError, readConfig } from '../../src/config/load.js';
import { configTable } from '../../src/docs/config-table.js';
import { replaceRegion } from '../../src/docs/region.js';
import { REPO_ROOT } from '../fixtures/paths.js';

describe('readConfig', () => {
  it('has a default for every setting that is not optional', () => {
    const config = readConfig({});
    assert.equal(config.KSI_PORT, 8000);
    assert.equal(config.KSI_NATS_SYNC, 'always');
    assert.equal(config.KSI_NATS_URL, undefined);
  });

  it('reads integers, and treats an empty variable as unset', () => {
    const config = readConfig({ KSI_PORT: ' 9000 ', KSI_MODEL: '' });
    assert.equal(config.KSI_PORT, 9000);
    assert.equal(config.KSI_MODEL, 'sonnet');
  });

  it('reports all faults at once, each with its variable and value', () => {
    assert.throws(
      () => readConfig({ KSI_PORT: 'http', KSI_NATS_SYNC: 'never', KSI_LEASE_S: '0', KSI_LOG_LEVEL: 'loud' }),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.equal(error.faults.length, 4);
        for (const name of ['KSI_PORT="http"', 'KSI_NATS_SYNC="never"', 'KSI_LEASE_S=0', 'KSI_LOG_LEVEL="loud"'])
          assert.ok(error.message.includes(name), name);
        return true;
      },
    );
  });

  it('leaves other variables alone', () => {
    assert.deepEqual(readConfig({ PATH: '/bin', KSI_UNKNOWN: 'x' }), readConfig({}));
  });
});

describe('generated documents', () => {
  it('docs/configuration.md has the table of the configuration', () => {
    const page = readFileSync(join(REPO_ROOT, 'docs', 'configuration.md'), 'utf8');
    assert.equal(replaceRegion(page, 'config', configTable()), page);
  });

  it('a document without the region is an error, not a silence', () => {
    assert.throws(() => replaceRegion('nothing', 'config', 'x'), /no region config/);
  });
});
