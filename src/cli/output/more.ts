/** What is said when a list is longer than was asked for. @param most of one answer of the API. */
export const moreThere = (limit: number, most: number, filters: string): string =>
  limit === most ? `There are more; filter them by ${filters}` : `There are more: --limit ${Math.min(most, limit * 5)}`;
