import { holdSignals } from '../process/hold-signals.js';

/** Entry point of the bridge. It holds signals before it loads the rest. */
holdSignals();
await import('./process.js');
