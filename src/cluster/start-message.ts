import type { SentError } from './errors.js';
import type { ClusterStatus } from './supervisor.js';

/** What a starting supervisor tells `ksi up` over their pipe. */
export type StartMessage =
  | { readonly progress: string }
  | { readonly ready: ClusterStatus }
  | { readonly failed: SentError }
  /** Another supervisor runs this cluster. */
  | { readonly taken: number };
