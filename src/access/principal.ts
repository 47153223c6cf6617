import { ApiError } from '../errors/api-error.js';
import { SCOPES, type Scope } from '../../contracts/access/tokens.js';

/** Whom a request comes from, and what of the system it may touch. */
export interface Principal {
  /** Names the token; `local` is the one in the token file. */
  readonly tokenId: string;
  readonly owner: string;
  readonly scopes: ReadonlySet<Scope>;
  /** May see what belongs to other owners. */
  readonly seesAll: boolean;
  /** Spawns that it may ask for; undefined: as the configuration says. */
  readonly rate?: string | undefined;
  /** Its tasks that may be open at once; undefined: any number. */
  readonly concurrency?: number | undefined;
  /** In ms since 1970. */
  readonly expiresAt?: number | undefined;
}

/** The holder of the token that `make up` made, and the operator over NATS. */
export const LOCAL: Principal = { tokenId: 'local', owner: 'local', scopes: new Set(SCOPES), seesAll: true };

/** Begins the token id of an agent that speaks to the broker itself. */
export const NATIVE_TOKEN = 'agent-';

/** Whether something of `owner` is shown to `principal`; what has no owner is the cluster's and shown to all. */
export const maySee = (principal: Principal, owner: string | undefined): boolean =>
  principal.seesAll || owner === undefined || owner === principal.owner;

/** The owner whose items a list shows; undefined: all owners. @throws {ApiError} forbidden */
export function listedOwner(principal: Principal, asked: string | undefined): string | undefined {
  if (asked !== undefined && !maySee(principal, asked))
    throw new ApiError('forbidden', `Only a token that sees all owners can list what belongs to ${asked}`);
  return asked ?? (principal.seesAll ? undefined : principal.owner);
}

/** Who acts when something of `owner` is done again on another's word: a task that is retried stays its owner's. */
export const onBehalfOf = (principal: Principal, owner: string): Principal => ({ ...principal, owner, seesAll: false });
