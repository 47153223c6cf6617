import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { claudeEnvironment, redactor } from '../../workers/claude/environment.js';

describe("Claude's environment", () => {
  it('counts the keys of other providers among the secrets', () => {
    const { secrets } = claudeEnvironment({ ANTHROPIC_FOUNDRY_API_KEY: 'foundry-secret' }, []);
    assert.deepEqual(secrets, ['foundry-secret']);
  });

  it('holds what is on the list, what the operator names, and no more', () => {
    const { env, secrets } = claudeEnvironment(
      {
        PATH: '/bin',
        LC_ALL: 'C',
        ANTHROPIC_API_KEY: 'sk-ant-1',
        ANTHROPIC_BASE_URL: 'http://x',
        ANTHROPIC_DEFAULT_SONNET_MODEL: 'm',
        AWS_SECRET_ACCESS_KEY: 'aws-secret',
        CLAUDE_CODE_USE_BEDROCK: '1',
        HTTPS_PROXY: 'http://proxy',
        MINE: 'mine-secret',
        EMPTY: '',
        HOME: '/root',
        CLAUDE_CONFIG_DIR: '/root/.claude',
        GITHUB_TOKEN: 'no',
        KSI_TOKEN: 'no',
        NODE_OPTIONS: 'no',
        LD_PRELOAD: 'no',
      },
      ['MINE', 'EMPTY'],
    );
    assert.deepEqual(env, {
      PATH: '/bin',
      LC_ALL: 'C',
      ANTHROPIC_API_KEY: 'sk-ant-1',
      ANTHROPIC_BASE_URL: 'http://x',
      ANTHROPIC_DEFAULT_SONNET_MODEL: 'm',
      AWS_SECRET_ACCESS_KEY: 'aws-secret',
      CLAUDE_CODE_USE_BEDROCK: '1',
      HTTPS_PROXY: 'http://proxy',
      MINE: 'mine-secret',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
      GIT_CONFIG_COUNT: '3',
      GIT_CONFIG_KEY_0: 'core.fsmonitor',
      GIT_CONFIG_VALUE_0: 'false',
      GIT_CONFIG_KEY_1: 'diff.external',
      GIT_CONFIG_VALUE_1: '',
      GIT_CONFIG_KEY_2: 'safe.bareRepository',
      GIT_CONFIG_VALUE_2: 'explicit',
    });
    assert.deepEqual(secrets, ['sk-ant-1', 'aws-secret', 'mine-secret']);
  });

  it('is kept out of what Claude wrote, where it is secret', () => {
    const redact = redactor(['sk-ant-1', 'sk-ant-1-longer', 'short']);
    assert.equal(redact('key sk-ant-1-longer, sk-ant-1; short'), 'key [redacted], [redacted]; short');
  });
});
