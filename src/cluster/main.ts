import { holdSignals } from '../process/hold-signals.js';

/** The supervisor process. Everything else is loaded after the signals are held. */
holdSignals();
await import('./process.js');
