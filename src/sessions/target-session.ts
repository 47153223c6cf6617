/** The session of a request. */
export interface TargetSession {
  readonly sessionId: string;
  readonly sessionName?: string;
  /** The session that it forks. */
  readonly forkOf?: string;
  /** Created for this request, so it has no other tasks. */
  readonly fresh: boolean;
}
