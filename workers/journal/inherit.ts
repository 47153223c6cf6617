import { dirname, join } from 'node:path';
import { isSound, putDown, setAside, takeUp } from '../../src/store/file.js';
import { Journal, journalFile } from './journal.js';
import { recover, type RecoverOptions } from './recover.js';

const DAMAGED =
  'the journal of a dead worker is damaged. Its file is kept: it may hold events that are stored nowhere else. The tasks are left to their leases';

/**
 * Recovers the tasks of a dead worker of this host.
 * @param folder of the dead worker; it is removed afterwards, so a damaged journal is put beside it.
 * @param options.stopping aborts when this worker stops.
 */
export async function inheritJournal(
  folder: string,
  deadId: string,
  options: RecoverOptions & { readonly stopping: AbortSignal },
): Promise<void> {
  const { log, stopping } = options;
  const file = journalFile(folder, join(dirname(folder), `journal-${deadId}.mdb`));
  const aside = await takeUp(file, log);
  if (aside !== undefined) return log.error({ aside, dead: deadId }, DAMAGED);
  const journal = new Journal(folder);
  try {
    await recover(journal, options);
  } catch (error) {
    // Another worker of this host finds them where they are.
    if (stopping.aborted) throw error;
    log.warn({ err: error, dead: deadId }, 'the tasks of a dead worker are left to their leases');
    await journal.close();
    if (!(await isSound(file, log))) log.error({ aside: await setAside(file), dead: deadId }, DAMAGED);
  } finally {
    await journal.close();
    await putDown(file);
  }
}
