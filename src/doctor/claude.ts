import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../../contracts/config/config.js';
import { hasClaudeCredentials } from '../cluster/plan.js';
import { findingsOf, saying, type Finding } from './finding.js';

const { ok, warning, failed } = findingsOf('claude');
const VERSION_TIMEOUT_MS = 5_000;

/** Checks the executable that workers run, and its credentials. */
export async function* checkClaude(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  demo: boolean,
): AsyncGenerator<Finding> {
  const executable = config.KSI_CLAUDE_BIN ?? sdkExecutable();
  if (executable === undefined)
    yield failed(
      'executable',
      `the Agent SDK has not installed one for ${process.platform}-${process.arch}`,
      'Install again with optional packages (make packages), or set KSI_CLAUDE_BIN to an executable.',
    );
  else yield await versionOf(executable);
  if (demo) yield ok('credentials', 'not needed: this is a demo with a stand-in for the model');
  else if (hasClaudeCredentials(env, config)) yield ok('credentials', 'set in the environment');
  else
    yield warning(
      'credentials',
      'not set in this environment, so a cluster started from it has none',
      'Set ANTHROPIC_API_KEY (or CLAUDE_CODE_OAUTH_TOKEN …) before `ksi up`, or try `make demo`.',
    );
}

async function versionOf(executable: string): Promise<Finding> {
  try {
    await access(executable, constants.R_OK);
    const script = /\.[cm]?js$/.test(executable);
    const { stdout } = await promisify(execFile)(
      script ? process.execPath : executable,
      script ? [executable, '--version'] : ['--version'],
      { timeout: VERSION_TIMEOUT_MS, env: { PATH: process.env['PATH'], HOME: process.env['HOME'] } },
    );
    return ok('executable', `${executable}: ${stdout.trim().split('\n', 1)[0] ?? ''}`);
  } catch (error) {
    return failed(
      'executable',
      `${executable} does not run: ${saying(error).split('\n', 1)[0] ?? ''}`,
      'Set KSI_CLAUDE_BIN to a working executable.',
    );
  }
}

/** Finds the executable like the Agent SDK does: in its package for this platform. */
function sdkExecutable(): string | undefined {
  const require = createRequire(import.meta.url);
  for (const libc of ['', '-musl']) {
    try {
      const name = `@anthropic-ai/claude-agent-sdk-${process.platform}-${process.arch}${libc}/package.json`;
      return join(dirname(require.resolve(name)), process.platform === 'win32' ? 'claude.exe' : 'claude');
    } catch {
      // Try the next libc.
    }
  }
  return undefined;
}
