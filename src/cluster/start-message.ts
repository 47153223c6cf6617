import type { SentError } from './errors.js';
import type { ClusterStatus } from './supervisor.js';

/** A message from the starting supervisor to `ksi up`. */
export type StartMessage =
  | { readonly progress: string }
  | { readonly ready: ClusterStatus }
  | { readonly failed: SentError }
  /** The pid of another supervisor that runs this cluster. */
  | { readonly taken: number };
