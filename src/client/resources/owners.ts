import type { DeletionPending } from '../../../contracts/retention/deletion.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Owners of tasks and sessions. */
export class Owners extends Resource {
  /**
   * Deletes all data of an owner, cancels open tasks and revokes the owner's tokens. Needs the scope `admin`.
   * @returns the folders that workers have not deleted yet. Undefined if there are none. @throws {KsiError} `forbidden`
   */
  delete(owner: string, options: CallOptions = {}): Promise<DeletionPending | undefined> {
    return this.transport.call('owner_delete', { id: owner }, options);
  }
}
