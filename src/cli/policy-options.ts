import type { Policy } from '../../contracts/tasks/policy.js';
import type { TaskErrorCode } from '../../contracts/wire/errors.js';
import type { Command } from './command.js';
import { commaList, wholeNumber } from './options.js';
import { defined } from '../defined.js';

/** What a task allows, as options of a command. */
export interface PolicyOptions {
  readonly maxAttempts?: number;
  readonly retryOn?: string[];
  readonly timeout?: number;
  readonly queueTimeout?: number;
  readonly idleTimeout?: number;
}

export const withPolicyOptions = (command: Command): Command =>
  command
    .option('--max-attempts <count>', 'failed attempts after which the task is given up (3)', wholeNumber(1))
    .option(
      '--retry-on <codes>',
      'errors after which the task is retried, separated by commas (docs/errors.md)',
      commaList,
    )
    .option('--timeout <seconds>', 'maximum duration of one attempt (3600)', wholeNumber(1))
    .option('--queue-timeout <seconds>', 'the task expires unless it starts in this time', wholeNumber(1))
    .option('--idle-timeout <seconds>', 'maximum time without output from Claude (900)', wholeNumber(1));

/** The API checks them: it knows its bounds and codes. */
export const policyOf = (options: PolicyOptions): Policy => ({
  ...defined({ max_attempts: options.maxAttempts }),
  ...(options.retryOn === undefined ? {} : { retry_on: options.retryOn as TaskErrorCode[] }),
  ...defined({
    timeout_s: options.timeout,
    queue_timeout_s: options.queueTimeout,
    idle_timeout_s: options.idleTimeout,
  }),
});
