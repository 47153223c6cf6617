import { holdSignals } from '../src/process/hold-signals.js';

/** Entry point of the worker. It holds signals before it loads the rest. */
holdSignals();
await import('./process.js');
