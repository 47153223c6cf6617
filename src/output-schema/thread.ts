import { parentPort, workerData } from 'node:worker_threads';
import { validate } from './validate.js';
import type { ValidationRequest } from './validation.js';

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- The port of a thread has no origin.
parentPort?.postMessage(validate(workerData as ValidationRequest));
