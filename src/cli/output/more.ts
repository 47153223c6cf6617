/** The hint for a truncated list. @param most the API's maximum page size. */
export const moreThere = (limit: number, most: number, filters: string): string =>
  limit === most
    ? `There are more. Filter by ${filters}.`
    : `There are more. Use --limit ${Math.min(most, limit * 5)}.`;
