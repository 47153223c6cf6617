type Env = Record<string, string>;
type GivenEnv = Readonly<Record<string, string | undefined>>;

/** What any program needs to run here. Credentials of the operator's other services are none of an API's business. */
const COMMON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|NODE_[A-Z0-9_]+|SSL_CERT_FILE|SSL_CERT_DIR|XDG_[A-Z_]+)$/;
/** A client's variables, and those that name something of another process. */
const NOT_INHERITED = /^KSI_(URL|TOKEN|PROCESS|METRICS_PORT|NATS_(URL|CREDENTIALS|INBOX|SERVER))$/;

/** Whether a variable of the operator's is for the processes of a cluster at all. */
export const isInherited = (name: string): boolean => !NOT_INHERITED.test(name);

/** The variables whose names are `wanted`. */
export const pick = (env: GivenEnv, wanted: (name: string) => boolean): Env =>
  Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && wanted(entry[0])),
  );

/** What every process of a cluster gets of the operator's environment. */
export const common = (env: GivenEnv): Env =>
  pick(env, (name) => COMMON.test(name) || (name.startsWith('KSI_') && isInherited(name)));
