import type { Command } from '../../command.js';
import { defined } from '../../../defined.js';

/** Filters of dead letters. */
export interface Filter {
  readonly queue?: string;
  readonly owner?: string;
}

export const withFilter = (command: Command): Command =>
  command
    .option('-q, --queue <queue>', 'only those of this queue')
    .option('--owner <owner>', 'only those of this owner');

export const filterOf = ({ queue, owner }: Filter): Filter => defined({ queue, owner });
