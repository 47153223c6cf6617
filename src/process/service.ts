import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { pino, type Logger, type LoggerOptions } from 'pino';
import { LogFile } from './log-file.js';

export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT';

/** What every process of KSI does first, whatever it is. */
export interface Service {
  readonly log: Logger;
  /** Called at each signal that asks the process to stop; before that, the first such signal ends it. */
  readonly onStop: (stop: (signal: StopSignal) => void) => void;
  /** Called when an operator or logrotate asks for new log files. */
  readonly onReopen: (reopen: () => void) => void;
}

const STOP = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
/** SIGHUP also comes from a terminal that closes. Node's own use of SIGUSR1, which opens the inspector, ends with our listener. */
const REOPEN = ['SIGHUP', 'SIGUSR1'] as const;

/**
 * The process as a service: private files, a log that survives a full disk and rotation, and a meaning for each signal
 * (docs/operations.md). Call it before anything else; until then `holdSignals` keeps signals from doing harm.
 * @param options of pino.
 */
export function startService(options: LoggerOptions): Service {
  // Whatever it writes is its user's alone.
  process.umask(0o077);
  const file = new LogFile(process.env['KSI_LOG_FILE']);
  const log = pino(options, file);
  // Libraries print there, and Node's own console throws if the disk is full.
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
      log.info({ signal }, 'the log file was opened again');
    });
  process.on('SIGUSR2', () => log.info({ signal: 'SIGUSR2' }, 'this signal has no meaning here'));
  return {
    log,
    onStop: (stop) => {
      for (const signal of STOP) process.on(signal, () => stop(signal));
    },
    onReopen: (reopen) => void reopens.push(reopen),
  };
}
