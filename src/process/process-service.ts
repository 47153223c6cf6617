import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { pino, type Logger, type LoggerOptions } from 'pino';
import { LogFile } from './log-file.js';

export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT';

/** The log and the signals of a process of KSI. */
export interface ProcessService {
  readonly log: Logger;
  /** Registers a function that is called for each signal to stop. Without one, the first such signal ends the process. */
  readonly onStop: (stop: (signal: StopSignal) => void) => void;
  /** Registers a function that is called when an operator or logrotate asks for new log files. */
  readonly onReopen: (reopen: () => void) => void;
}

const STOP = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
/** A closing terminal sends SIGHUP too. Our listener replaces Node's use of SIGUSR1, which opens the inspector. */
const REOPEN = ['SIGHUP', 'SIGUSR1'] as const;

/**
 * Sets the process up: private files, a log that survives a full disk and rotation, and a meaning for each signal (docs/operations.md).
 * Call it before anything else. Until then, `holdSignals` ignores harmful signals.
 * @param options of pino
 */
export function startProcess(options: LoggerOptions): ProcessService {
  // Files of this process are readable by its user only.
  process.umask(0o077);
  const file = new LogFile(process.env['KSI_LOG_FILE']);
  const log = pino(options, file);
  // Libraries print to the console, and Node's own console throws if the disk is full.
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      file.write(chunk.toString());
      done();
    },
  });
  globalThis.console = new Console(sink, sink);
  const reopens: (() => void)[] = [];
  for (const signal of REOPEN)
    process.on(signal, () => {
      file.reopen();
      for (const reopen of reopens) reopen();
      log.info({ signal }, 'reopened the log file');
    });
  process.on('SIGUSR2', () => log.info({ signal: 'SIGUSR2' }, 'ignored a signal that has no meaning here'));
  return {
    log,
    onStop: (stop) => {
      for (const signal of STOP) process.on(signal, () => stop(signal));
    },
    onReopen: (reopen) => void reopens.push(reopen),
  };
}
