/** The guard process of a worker. It ends with the worker's pipe only, so it ignores signals from its first line on, before anything is loaded. */
for (const name of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const)
  process.on(name, () => undefined);
await import('./process.js');
