import type { AuditEntry } from '../../contracts/access/audit.js';
import { OPERATIONS, type OperationName } from '../../contracts/api/operations.js';
import type { Operation } from '../../contracts/wire/operation.js';
import type { Audit } from '../access/audit.js';
import type { Principal } from '../access/principal.js';
import { defined } from '../defined.js';

interface HandledRequest extends Pick<AuditEntry, 'result' | 'over' | 'address' | 'request_id'> {
  readonly principal: Principal;
  readonly request: unknown;
  /** Undefined if the request failed or its answer has no content. */
  readonly answer?: unknown;
}

/** Whether the audit records requests for an operation. */
export const isAudited = (operation: Operation): boolean => 'audit' in operation && !('unaudited' in operation.audit);

/** Records a request and its result, if its operation is audited. */
export function recordOperation(
  audit: Pick<Audit, 'record'>,
  name: OperationName,
  { principal, request, answer, ...rest }: HandledRequest,
): void {
  const operation: Operation = OPERATIONS[name];
  if (!isAudited(operation)) return;
  const target = fieldOf(answer, targetOf(operation)) ?? fieldOf(request, targetOf(operation));
  audit.record(defined({ owner: principal.owner, token_id: principal.tokenId, verb: name, target, ...rest }));
}

const targetOf = (operation: Operation): string | undefined =>
  'audit' in operation && 'target' in operation.audit ? operation.audit.target : undefined;

function fieldOf(value: unknown, name: string | undefined): string | undefined {
  if (name === undefined || typeof value !== 'object' || value === null) return undefined;
  const field = (value as Readonly<Record<string, unknown>>)[name];
  return typeof field === 'string' ? field : undefined;
}
