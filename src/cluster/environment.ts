type Env = Record<string, string>;
type GivenEnv = Readonly<Record<string, string | undefined>>;

/** Variables that every process needs. Credentials for other services must not reach an API. */
const COMMON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|NODE_[A-Z0-9_]+|SSL_CERT_FILE|SSL_CERT_DIR|XDG_[A-Z_]+)$/;
/** Variables for clients, and variables whose value belongs to one process. */
const NOT_INHERITED = /^KSI_(URL|TOKEN|PROCESS|METRICS_PORT|NATS_(URL|CREDENTIALS|INBOX|SERVER))$/;

/** Whether a cluster's processes may inherit this variable of the operator. */
export const isInherited = (name: string): boolean => !NOT_INHERITED.test(name);

/** The variables whose names are `wanted`. */
export const pick = (env: GivenEnv, wanted: (name: string) => boolean): Env =>
  Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && wanted(entry[0])),
  );

/** The part of the operator's environment that every process of a cluster gets. */
export const common = (env: GivenEnv): Env =>
  pick(env, (name) => COMMON.test(name) || (name.startsWith('KSI_') && isInherited(name)));
