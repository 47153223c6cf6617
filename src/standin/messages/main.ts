import { holdSignals } from '../../process/hold-signals.js';

/** Entry point of the Messages API stand-in. It holds signals before it loads the rest. */
holdSignals();
await import('./process.js');
