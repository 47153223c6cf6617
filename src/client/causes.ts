/** An error with all errors that caused it. An attempt at several addresses fails with an `AggregateError`, of which the first error counts. */
export function* causesOf(error: unknown): Generator<Error> {
  for (let at = error; at instanceof Error;) {
    yield at;
    const { cause } = at;
    at = cause ?? (at as Partial<AggregateError>).errors?.[0];
  }
}

/** The message of the innermost error, which names the fault. */
export const reasonOf = (error: unknown): string =>
  [...causesOf(error)].findLast(({ message }) => message !== '')?.message ?? String(error);

const codesOf = (error: unknown): string[] =>
  [...causesOf(error)].map(({ code }: Error & { code?: unknown }) => (typeof code === 'string' ? code : ''));

/** Nobody listens at the address, or its name does not exist: the address is wrong, or KSI is not running. */
export const isRefused = (error: unknown): boolean =>
  codesOf(error).some((code) => code === 'ECONNREFUSED' || code === 'CONNECTION_REFUSED' || code === 'ENOTFOUND');

/** Codes of failures that last: a certificate that is not trusted, TLS against plain HTTP, an invalid request. */
const LASTING =
  /^(ERR_TLS_|ERR_SSL_|EPROTO$|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_INVALID_|UND_ERR_INVALID_ARG$)/;

/** Whether the same request would fail again in the same way. `fetch` never connects to some ports, and that error has no code. */
export const isLasting = (error: unknown): boolean =>
  codesOf(error).some((code) => LASTING.test(code)) || reasonOf(error) === 'bad port';
