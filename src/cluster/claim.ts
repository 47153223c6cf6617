import { open } from 'lmdb';
import { isAlive, type ProcessIdentity } from '../process/identity.js';

/**
 * Makes `me` the one that runs the cluster of a folder, unless somebody does who is alive. A write transaction of LMDB is a lock
 * across processes that a crash gives back, so two `up`s at the same moment can't both succeed, as they could with a pid file.
 * @returns the living holder, or undefined when the claim is ours.
 */
export async function claimCluster(file: string, me: ProcessIdentity): Promise<ProcessIdentity | undefined> {
  const db = open<ProcessIdentity, string>({ path: file, noSubdir: true, mapSize: 1_048_576 });
  try {
    return db.transactionSync(() => {
      const holder = db.get('holder');
      if (holder !== undefined && holder.pid !== me.pid && isAlive(holder)) return holder;
      db.putSync('holder', me);
      return undefined;
    });
  } finally {
    await db.close();
  }
}
