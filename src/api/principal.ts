/** Whom a request comes from, and what of the system it may touch. */
export interface Principal {
  readonly owner: string;
  /** May see what belongs to other owners. */
  readonly seesAll: boolean;
}

/** The holder of the token that `make up` made, and the operator over NATS. */
export const LOCAL: Principal = { owner: 'local', seesAll: true };

/** Whether something of `owner` is shown to `principal`; what has no owner is the cluster's and shown to all. */
export const maySee = (principal: Principal, owner: string | undefined): boolean =>
  principal.seesAll || owner === undefined || owner === principal.owner;
