/** The exit codes of `ksi`, the same for every command and listed in its help. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  cancelled: 3,
  auth: 4,
  taskFailed: 5,
  timeout: 124,
  interrupted: 130,
} as const;

export const EXIT_HELP = `Exit codes:
  0    done; for \`ksi spawn\` and \`ksi wait\`: completed
  1    failure (no cluster, broker away …)
  2    usage: a wrong word or option, an invalid request
  3    the task was cancelled
  4    no token, a wrong one, or one that may not do this
  5    the task failed, or expired
  124  the wait timed out; the task goes on
  130  Ctrl-C ended the wait; the task goes on`;

/** A failure with the words for the person and the exit code for the script. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failure, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}
