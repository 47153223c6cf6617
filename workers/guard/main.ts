/**
 * Entry point of the guard process. Only the end of the worker's pipe ends the guard, so it ignores signals before it loads anything. A signal to all
 * processes must not end it before the worker.
 */
for (const name of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const)
  process.on(name, () => undefined);
await import('./process.js');
