import type { Command } from '../../command.js';

/** Which dead letters are meant. */
export interface Filter {
  readonly queue?: string;
  readonly owner?: string;
}

export const withFilter = (command: Command): Command =>
  command.option('-q, --queue <queue>', 'only those of a queue').option('--owner <owner>', 'only those of an owner');

export const filterOf = ({ queue, owner }: Filter): Filter => ({
  ...(queue === undefined ? {} : { queue }),
  ...(owner === undefined ? {} : { owner }),
});
