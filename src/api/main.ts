import { holdSignals } from '../process/hold-signals.js';

/** Entry point of the API process. See `holdSignals` for why it loads everything else afterwards. */
holdSignals();
await import('./process.js');
