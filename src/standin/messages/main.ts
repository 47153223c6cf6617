import { holdSignals } from '../../process/hold-signals.js';

/** The process of the stand-in for the Messages API. Everything else is loaded after the signals are held. */
holdSignals();
await import('./process.js');
