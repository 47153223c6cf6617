/**
 * Ignores signals that would do harm during a start: SIGHUP would end the process, and SIGUSR1 would open Node's inspector. An entry point
 * calls this before it loads its modules, which take most of the start. `startProcess` then gives these signals their meaning.
 */
export function holdSignals(): void {
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => undefined);
}
