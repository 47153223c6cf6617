import { dirname, join } from 'node:path';
import { isSound, closeChecked, quarantineFile, openChecked } from '../../src/store/damaged-files.js';
import { Journal, journalFile } from './journal.js';
import { recover, type RecoverOptions } from './recover.js';

const DAMAGED =
  'the journal of a dead worker is damaged; its tasks are retried when their leases expire. The file is kept, because it may have events that are stored nowhere else';

/**
 * Recovers the tasks of a dead worker of this host.
 * @param folder of the dead worker. The caller removes it afterwards, so a damaged journal is moved next to it
 * @param options.stopping aborts when this worker stops
 */
export async function inheritJournal(
  folder: string,
  deadId: string,
  options: RecoverOptions & { readonly stopping: AbortSignal },
): Promise<void> {
  const { log, stopping } = options;
  const file = journalFile(folder, join(dirname(folder), `journal-${deadId}.mdb`));
  const aside = await openChecked(file, log);
  if (aside !== undefined) return log.error({ aside, dead: deadId }, DAMAGED);
  const journal = new Journal(folder);
  try {
    await recover(journal, options);
  } catch (error) {
    // The journal stays for the next worker of this host.
    if (stopping.aborted) throw error;
    log.warn(
      { err: error, dead: deadId },
      'could not recover the tasks of a dead worker; they are retried when their leases expire',
    );
    await journal.close();
    if (!(await isSound(file, log))) log.error({ aside: await quarantineFile(file), dead: deadId }, DAMAGED);
  } finally {
    await journal.close();
    await closeChecked(file);
  }
}
