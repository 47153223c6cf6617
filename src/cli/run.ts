import { BridgeError } from '../bridge/errors.js';
import { ClusterError } from '../cluster/errors.js';
import { ConfigError } from '../config/error.js';
import { KsiError, KsiTaskError, KsiUnreachableError } from '../client/errors.js';
import { explainSystemError } from '../process/system-error.js';
import { CliError, EXIT } from './exit.js';
import { adviceOn } from './next-steps.js';
import type { GlobalOptions } from './options.js';
import { paint } from './output/colour.js';
import { say } from './output/say.js';
import { shownOn } from './output/printable.js';

/** Runs a command; a failure that we know is told in words, and its exit code set. */
export async function runCommand(command: () => Promise<number | void>): Promise<void> {
  try {
    process.exitCode = (await command()) ?? EXIT.ok;
  } catch (error) {
    process.exitCode = reportFailure(error);
  }
}

/** Tells a failure on stderr. @returns its exit code. */
export function reportFailure(error: unknown): number {
  const { message, exitCode } = explain(error);
  process.stderr.write(`${paint('red', shownOn(process.stderr, message), process.stderr)}\n`);
  return exitCode;
}

/** Says once that a broken connection is being resumed, as nothing else would tell a person why nothing comes. */
export function retryNotice(options: Pick<GlobalOptions, 'quiet'>): (error: Error) => void {
  let printed = false;
  return ({ message }) => {
    if (!printed) say(options, paint('dim', shownOn(process.stderr, `${message}; trying again`), process.stderr));
    printed = true;
  };
}

/** What a person is told of a failure. An unexpected one is told whole. */
export function explain(error: unknown): { message: string; exitCode: number } {
  if (error instanceof CliError) return { message: `error: ${error.message}`, exitCode: error.exitCode };
  if (error instanceof BridgeError) return { message: `error: ${error.message}`, exitCode: EXIT.failure };
  if (error instanceof ConfigError)
    return {
      message: `error: ${error.message}\nCorrect it in the environment; \`ksi config\` shows all of it.`,
      exitCode: EXIT.usage,
    };
  if (error instanceof ClusterError)
    return { message: `error (${error.code}): ${error.message}`, exitCode: EXIT.failure };
  if (error instanceof KsiUnreachableError)
    return {
      message: `error: ${error.message}. Is the cluster up? See \`ksi status\`; start it with \`ksi up\`.`,
      exitCode: EXIT.failure,
    };
  if (error instanceof KsiTaskError)
    return {
      message: `error (${error.code}): ${error.message}. See: ksi task ${error.task.task_id}`,
      exitCode: error.task.status === 'cancelled' ? EXIT.cancelled : EXIT.taskFailed,
    };
  if (error instanceof KsiError)
    return { message: `error (${error.code}): ${adviceOn(error)}`, exitCode: exitCodeOf(error) };
  const system = explainSystemError(error);
  if (system !== undefined) return { message: `error: ${system}`, exitCode: EXIT.failure };
  return { message: error instanceof Error ? (error.stack ?? error.message) : String(error), exitCode: EXIT.failure };
}

function exitCodeOf({ status }: KsiError): number {
  if (status === 401 || status === 403) return EXIT.auth;
  return status === 400 || status === 413 || status === 422 ? EXIT.usage : EXIT.failure;
}
