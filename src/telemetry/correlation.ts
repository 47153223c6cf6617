import { uuidv7 } from '../uuid.js';
import { REQUEST_ID_PATTERN } from '../../contracts/wire/names.js';

const REQUEST_ID = new RegExp(REQUEST_ID_PATTERN);
/** W3C Trace Context. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The client's id for its request, or a new id if it sent none or one that is not well formed. */
export const requestIdFrom = (header: string | undefined): string =>
  header !== undefined && REQUEST_ID.test(header) ? header : uuidv7();

/** The client's trace context. A header in another format is ignored. */
export const traceparentFrom = (header: string | undefined): string | undefined =>
  header !== undefined && TRACEPARENT.test(header) ? header : undefined;
