/** What became of one thing that was to be brought over. */
export interface MovedItem {
  readonly kind: 'profile' | 'identity' | 'shared' | 'agent' | 'composition' | 'component' | 'session' | 'log' | 'file';
  readonly name: string;
  /**
   * - `brought`: it is there now (or, in a dry run, would be);
   * - `there`: it was there before, the same;
   * - `kept`: another of that name was there before, and stays;
   * - `left`: it has no place at the other side;
   * - `failed`: it could not be brought.
   */
  readonly outcome: 'brought' | 'there' | 'kept' | 'left' | 'failed';
  readonly note?: string;
}

/** How a move goes. */
export interface MoveOptions {
  /** Nothing is changed. */
  readonly dryRun: boolean;
}
