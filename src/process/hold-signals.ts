/**
 * Until a process can log, SIGHUP would end it and SIGUSR1 would open Node's inspector. An entry point calls this before it
 * loads what it needs, which takes longest of its start. `startService` then gives these signals their meaning.
 */
export function holdSignals(): void {
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => undefined);
}
