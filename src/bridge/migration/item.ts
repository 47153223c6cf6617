/** The result of importing or exporting one item. */
export interface MovedItem {
  readonly kind: 'profile' | 'identity' | 'shared' | 'agent' | 'composition' | 'component' | 'session' | 'log' | 'file';
  readonly name: string;
  /**
   * - `brought`: written to the target, or in a dry run, would be written
   * - `there`: the target has the same already
   * - `kept`: the target has a different one of that name, which stays
   * - `left`: the target cannot store it
   * - `failed`: an error prevented it
   */
  readonly outcome: 'brought' | 'there' | 'kept' | 'left' | 'failed';
  readonly note?: string;
}

export interface MoveOptions {
  /** Change nothing. */
  readonly dryRun: boolean;
}
