import type {
  RetentionAges,
  RetentionPreview,
  RetentionPreviewQuery,
  RetentionRun,
  RetentionView,
} from '../../../contracts/retention/retention.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** How long tasks and sessions are kept. */
export class Retention {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The operator's ages, your own, and those that hold. */
  get(options: CallOptions = {}): Promise<RetentionView> {
    return this.#transport.call('retention', {}, options);
  }

  /** Your own ages. Of these and the operator's, the shorter one holds. */
  set(ages: RetentionAges, options: CallOptions = {}): Promise<RetentionView> {
    return this.#transport.call('retention_set', ages, options);
  }

  /** A dry run: what would be deleted now. */
  preview(query: RetentionPreviewQuery = {}, options: CallOptions = {}): Listing<RetentionPreview> {
    return listing(this.#transport, 'retention_preview', query, options);
  }

  /** Deletes what is old now, up to a bound. Scope `admin`, and a token that sees all owners. */
  run(options: CallOptions = {}): Promise<RetentionRun> {
    return this.#transport.call('retention_run', {}, options);
  }
}
