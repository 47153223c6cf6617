import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Options } from '@anthropic-ai/claude-agent-sdk';

/**
 * How claude is started without KSI, from a folder that is its working folder and its home.
 * @param onStarted called with its process's id.
 */
export const bareClaude = (
  home: string,
  messagesUrl: string,
  onStarted: (pid: number) => void = () => undefined,
): Options => ({
  cwd: home,
  model: 'sonnet',
  settingSources: [],
  includePartialMessages: true,
  env: {
    PATH: process.env['PATH'],
    HOME: home,
    CLAUDE_CONFIG_DIR: join(home, 'config'),
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    ANTHROPIC_BASE_URL: messagesUrl,
    ANTHROPIC_API_KEY: 'sk-ant-bench-not-a-key',
  },
  spawnClaudeCodeProcess: ({ command, args, cwd, env }) => {
    const child = spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'ignore'] });
    onStarted(child.pid ?? 0);
    return child;
  },
});
