/** @returns undefined if the file or folder does not exist */
export const ifExists = <T>(result: Promise<T>): Promise<T | undefined> =>
  result.catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
