import { holdSignals } from '../src/process/hold-signals.js';

/** The worker process. Everything else is loaded after the signals are held. */
holdSignals();
await import('./process.js');
