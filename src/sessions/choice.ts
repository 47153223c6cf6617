/** The session that a request is for. */
export interface SessionChoice {
  readonly sessionId: string;
  readonly sessionName?: string;
  /** The session whose conversation it goes on from. */
  readonly forkOf?: string;
  /** It was made for this request, so nothing else can be of it. */
  readonly fresh: boolean;
}
