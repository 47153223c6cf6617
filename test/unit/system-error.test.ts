import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { explain } from '../../src/cli/run.js';
import { findConnection } from '../../src/cli/connection.js';
import { withoutStacks } from '../../src/cluster/log-excerpt.js';
import { explainSystemError } from '../../src/process/system-error.js';

describe('a failure that the user can mend', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-errors-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const failureOf = (action: () => unknown): unknown => {
    try {
      action();
    } catch (error) {
      return error;
    }
    return assert.fail('it did not fail');
  };

  it('of the file system names the path and the reason, without a stack trace', () => {
    const file = join(dir, 'file');
    writeFileSync(file, 'x');
    const cases = [
      [failureOf(() => readdirSync(join(file, 'x'))), /^error: Cannot use .*file\/x: a part of the path is a file/],
      [
        failureOf(() => readFileSync(join(dir, 'none'))),
        /^error: Cannot use .*none: there is no such file or folder\.$/,
      ],
      [system('EACCES', 'open', file), /permission denied\. Its mode does not allow it: check `ls -ld .*file`/],
      [system('ENOSPC', 'write'), /^error: Cannot write the output: the disk is full/],
      [system('ENOENT', 'uv_cwd'), /^error: The working folder was deleted/],
    ] as const;
    for (const [error, expected] of cases) {
      const { message, exitCode } = explain(error);
      assert.match(message, expected);
      assert.doesNotMatch(message, /\n\s+at /);
      assert.equal(exitCode, 1);
    }
    assert.equal(explainSystemError(new TypeError('a fault of KSI')), undefined);
  });

  it('of the address or the token is told before a request is sent, and no password is shown', () => {
    const message = (url: string, token = 't'.repeat(32)): string =>
      explain(failureOf(() => findConnection({}, { KSI_URL: url, KSI_TOKEN: token }, dir))).message;
    assert.match(message('localhost:8000'), /KSI_URL has no scheme\. Write http:\/\/localhost:8000/);
    assert.match(message('ftp://x'), /KSI_URL must begin with http:\/\/ or https:\/\//);
    assert.match(message('http://'), /KSI_URL is not a URL/);
    for (const url of ['http://me:secret@x:8000', 'me:secret@x:8000']) assert.doesNotMatch(message(url), /secret/);
    assert.match(message('http://x', 'a\nb'), /token in KSI_TOKEN contains a space or a line break/);
    assert.equal(findConnection({}, { KSI_URL: 'http://x', KSI_TOKEN: 'abc\n' }, dir).token, 'abc');
  });

  it('in a log is shown without stack traces and once', () => {
    const line = JSON.stringify({
      level: 40,
      err: { message: 'no JetStream', stack: 'Error\n    at x' },
      msg: 'retrying',
    });
    assert.equal(withoutStacks(`plain\n${line}\n${line}`), 'plain\nretrying: no JetStream');
  });
});

const system = (code: string, syscall: string, path?: string): Error =>
  Object.assign(new Error(code), { code, syscall, ...(path === undefined ? {} : { path }) });
