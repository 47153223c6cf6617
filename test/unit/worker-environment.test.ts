import { systemClock } from '../../src/clock.js';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LiveText } from '../../workers/attempt/live.js';
import { claudeEnvironment } from '../../workers/claude/environment.js';
import { Redaction, redactor } from '../../workers/claude/redaction.js';
import { OutputTail } from '../../workers/claude/output-tail.js';

describe("Claude's environment", () => {
  it('counts the keys of other providers among the secrets', () => {
    const { secrets } = claudeEnvironment({ ANTHROPIC_FOUNDRY_API_KEY: 'foundry-secret' }, [], 10);
    assert.deepEqual(secrets, ['foundry-secret']);
  });

  it('contains only the listed variables and those that the operator names', () => {
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
      10,
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
      CLAUDE_CODE_DISABLE_FILE_MENTIONS: '1',
      CLAUDE_CODE_DISABLE_CLAUDE_MDS: '1',
      CLAUDE_CODE_DISABLE_AUTO_MEMORY: '1',
      CLAUDE_CODE_DISABLE_CRON: '1',
      MCP_TIMEOUT: '10000',
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

  it('distinguishes credentials from other variables that the operator adds, which may be ordinary words', () => {
    const added = {
      MINE: 'production',
      NPM_TOKEN: 'npm-secret',
      DB_PASSWORD: 'db-secret',
      ANTHROPIC_API_KEY: 'sk-ant-1',
    };
    const { credentials } = claudeEnvironment(added, ['MINE', 'NPM_TOKEN', 'DB_PASSWORD'], 10);
    assert.deepEqual(credentials, ['npm-secret', 'db-secret', 'sk-ant-1']);
  });

  it('is redacted from the output of Claude if it is secret', () => {
    const redact = redactor(['sk-ant-1', 'sk-ant-1-longer', 'short']);
    assert.equal(redact('key sk-ant-1-longer, sk-ant-1; short'), 'key [redacted], [redacted]; short');
  });

  it('is redacted from a message at any depth, and the rest of the message is unchanged', () => {
    const redaction = new Redaction(['sk-ant-1']);
    redaction.also(['s"quoted"\\']);
    const message = {
      type: 'user',
      n: 1,
      none: null,
      content: [{ text: 'see sk-ant-1' }, { 'sk-ant-1': ['s"quoted"\\'] }],
    };
    assert.deepEqual(redaction.in(message), {
      ...message,
      content: [{ text: 'see [redacted]' }, { '[redacted]': ['[redacted]'] }],
    });
    const plain = { type: 'user', content: [{ text: 'nothing' }] };
    assert.equal(redaction.in(plain), plain);
  });

  it('is redacted from partial text, however the chunks are split', () => {
    for (let cut = 1; cut < 20; cut++) {
      const whole = 'the key is sk-ant-123 and more';
      const sent: string[] = [];
      const publish = (_subject: string, payload: string): void =>
        void sent.push((JSON.parse(payload) as { data: { text: string } }).data.text);
      const broker = { clock: systemClock, connected: () => true, nc: { publish } } as never;
      const live = new LiveText(broker, { task_id: 't' } as never, 1, new Redaction(['sk-ant-123']));
      for (let at = 0; at < whole.length; at += cut) {
        live.add(whole.slice(at, at + cut));
        live.flush();
      }
      live.complete({});
      assert.equal(sent.join(''), 'the key is [redacted] and more', `cut at ${cut}`);
    }
  });

  it('is redacted from the tail of a stream, even if the tail begins inside a secret', () => {
    const secret = `sk-ant-${'s'.repeat(1_000)}`;
    for (const after of [...Array.from({ length: 12 }, (_, n) => 16_384 - n * 97), 15_300, 32_768, 32_000, 31_761]) {
      const tail = new OutputTail();
      for (const piece of ['y'.repeat(70_000), secret, 'x'.repeat(after)]) tail.add(Buffer.from(piece));
      const text = tail.text(redactor([secret]));
      assert.ok(!text.includes('ss'), `${after} bytes after it`);
      assert.ok(text.length <= 16_384 && text.endsWith('x'.repeat(15_000)));
    }
    const short = new OutputTail();
    short.add(Buffer.from(`it said ${secret}\n`));
    assert.equal(short.text(redactor([secret])), 'it said [redacted]');
  });
});
