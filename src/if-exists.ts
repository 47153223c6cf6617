/** @returns undefined if the file or folder does not exist */
export const ifExists = <T>(result: Promise<T>): Promise<T | undefined> => result.catch(unlessMissing);

/** As `ifExists`, for a synchronous action. */
export function ifExistsSync<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    return unlessMissing(error);
  }
}

function unlessMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
