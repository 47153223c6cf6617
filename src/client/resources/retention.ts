import type {
  RetentionAges,
  RetentionPreview,
  RetentionPreviewQuery,
  RetentionRun,
  RetentionView,
} from '../../../contracts/retention/retention.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Retention: the ages, in seconds, after which tasks and sessions are deleted. */
export class Retention extends Resource {
  /** Gets the operator's ages, your own and the effective ones. */
  get(options: CallOptions = {}): Promise<RetentionView> {
    return this.transport.call('retention', {}, options);
  }

  /** Replaces your own ages. For each, the shorter one of yours and the operator's applies. */
  set(ages: RetentionAges, options: CallOptions = {}): Promise<RetentionView> {
    return this.transport.call('retention_set', ages, options);
  }

  /** Lists the tasks and sessions that would be deleted now. Deletes nothing. */
  preview(query: RetentionPreviewQuery = {}, options: CallOptions = {}): Listing<RetentionPreview> {
    return listing(this.transport, 'retention_preview', query, options);
  }

  /** Runs retention now. One run deletes a limited number. Needs the scope `admin` and a token that sees all owners. @throws {KsiError} `forbidden` */
  run(options: CallOptions = {}): Promise<RetentionRun> {
    return this.transport.call('retention_run', {}, options);
  }
}
