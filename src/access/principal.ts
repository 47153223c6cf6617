import { ApiError } from '../errors/api-error.js';
import { SCOPES, type Scope } from '../../contracts/access/tokens.js';

/** Who makes a request, and what the request may do. */
export interface Principal {
  /** `local` is the token in the token file. */
  readonly tokenId: string;
  readonly owner: string;
  readonly scopes: ReadonlySet<Scope>;
  /** May see other owners' resources. */
  readonly seesAll: boolean;
  /** The spawn rate limit; undefined: KSI_SPAWN_RATE. */
  readonly rate?: string | undefined;
  /** The maximum number of its open tasks; undefined: any. */
  readonly concurrency?: number | undefined;
  /** In ms since 1970. */
  readonly expiresAt?: number | undefined;
}

/** The holder of the token that `make up` created, and the operator over NATS. */
export const LOCAL: Principal = { tokenId: 'local', owner: 'local', scopes: new Set(SCOPES), seesAll: true };

/** The prefix of the token id of a NATS agent. */
export const NATIVE_TOKEN = 'agent-';

/** Whether `principal` may see a resource of `owner`. A resource without an owner belongs to the cluster, and everyone may see it. */
export const maySee = (principal: Principal, owner: string | undefined): boolean =>
  principal.seesAll || owner === undefined || owner === principal.owner;

/** The owner whose items a list shows; undefined: all owners. @throws {ApiError} forbidden */
export function listedOwner(principal: Principal, requestedOwner: string | undefined): string | undefined {
  if (requestedOwner !== undefined && !maySee(principal, requestedOwner))
    throw new ApiError('forbidden', `Listing resources of ${requestedOwner} needs a token that sees all owners`);
  return requestedOwner ?? (principal.seesAll ? undefined : principal.owner);
}

/** The principal for an action on another owner's resource: a retried task, for example, keeps its owner. */
export const onBehalfOf = (principal: Principal, owner: string): Principal => ({ ...principal, owner, seesAll: false });
