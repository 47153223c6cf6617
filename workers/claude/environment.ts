/**
 * The variables of the worker's environment that Claude may see. An allow-list: the operator's shell may contain other secrets, such as
 * keys of other services.
 */
const ALLOWED: readonly { pattern: RegExp; why: string; secret?: true }[] = [
  { pattern: /^(PATH|LANG|LC_[A-Z]+|TZ|TMPDIR|TERM|SHELL|USER|LOGNAME)$/, why: 'tools need them' },
  { pattern: /^ANTHROPIC_([A-Z0-9_]+_)?(API_KEY|AUTH_TOKEN|CUSTOM_HEADERS)$/, why: 'credentials', secret: true },
  { pattern: /^ANTHROPIC_[A-Z0-9_]+$/, why: 'address, models and cloud settings of the Messages API' },
  { pattern: /^CLAUDE_CODE_OAUTH_TOKEN$/, why: 'credentials', secret: true },
  { pattern: /^CLAUDE_CODE_(USE|SKIP)_[A-Z0-9_]+$/, why: 'choice of a cloud provider (Bedrock, Vertex …)' },
  { pattern: /^CLAUDE_CODE_MAX_[A-Z_]+$/, why: 'limits of tokens and of its own retries' },
  { pattern: /^API_TIMEOUT_MS$/, why: 'timeout of requests to the Messages API' },
  {
    pattern: /^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|BEARER_TOKEN_BEDROCK)$/,
    why: 'Bedrock',
    secret: true,
  },
  {
    pattern:
      /^AWS_(REGION|DEFAULT_REGION|PROFILE|CONFIG_FILE|SHARED_CREDENTIALS_FILE|ROLE_ARN|WEB_IDENTITY_TOKEN_FILE)$/,
    why: 'Bedrock',
  },
  {
    pattern:
      /^(GOOGLE_APPLICATION_CREDENTIALS|GOOGLE_CLOUD_PROJECT|GCLOUD_PROJECT|CLOUD_ML_REGION|VERTEX_REGION_[A-Z0-9_]+)$/,
    why: 'Vertex',
  },
  { pattern: /^(HTTPS?_PROXY|NO_PROXY|ALL_PROXY|https?_proxy|no_proxy|all_proxy)$/, why: 'proxies' },
  { pattern: /^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR)$/, why: "a company's own certificates" },
];

/** Overrides git settings by which a repository's own configuration could start programs. */
const GIT_CONFIG = [
  ['core.fsmonitor', 'false'],
  ['diff.external', ''],
  ['safe.bareRepository', 'explicit'],
] as const;

const GIT = Object.fromEntries([
  ['GIT_CONFIG_COUNT', String(GIT_CONFIG.length)],
  ...GIT_CONFIG.flatMap(([name, value], n) => [
    [`GIT_CONFIG_KEY_${n}`, name],
    [`GIT_CONFIG_VALUE_${n}`, value],
  ]),
]) as Readonly<Record<string, string>>;

export interface ClaudeEnvironment {
  readonly env: Readonly<Record<string, string>>;
  /** Values that must not appear in logs and error texts. */
  readonly secrets: readonly string[];
  /** The secrets that grant access. They are also redacted from Claude's messages. Other secrets may be ordinary words. */
  readonly credentials: readonly string[];
}

/** Whether the name of a variable or header suggests a credential. */
export const namesCredential = (name: string): boolean =>
  /KEY|TOKEN|SECRET|PASS(WORD|WD|PHRASE)|CREDENTIAL|AUTH|COOKIE/i.test(name);

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param env the worker's environment.
 * @param further names that the operator adds (KSI_CLAUDE_ENV). Their values count as secrets.
 * @param mcpTimeoutS how long an MCP server has to connect.
 */
export function claudeEnvironment(
  env: Environment,
  further: readonly string[],
  mcpTimeoutS: number,
): ClaudeEnvironment {
  const seen: Record<string, string> = {};
  const secrets: string[] = [];
  const credentials: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value === '') continue;
    const rule = ALLOWED.find(({ pattern }) => pattern.test(name));
    const added = further.includes(name);
    if (rule === undefined && !added) continue;
    seen[name] = value;
    if (added || rule?.secret === true) secrets.push(value);
    if (rule?.secret === true || (added && namesCredential(name))) credentials.push(value);
  }
  return {
    env: {
      ...seen,
      // Claude Code contacts only the Messages API, and does not update itself.
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
      // `verbatimPrompts` (query-options.ts) already does this for prompts; these also cover what Claude Code adds between tool calls.
      CLAUDE_CODE_DISABLE_FILE_MENTIONS: '1',
      CLAUDE_CODE_DISABLE_CLAUDE_MDS: '1',
      CLAUDE_CODE_DISABLE_AUTO_MEMORY: '1',
      // Also removes the `loop` skill, which promises the same as the tools (unavailable-tools.ts).
      CLAUDE_CODE_DISABLE_CRON: '1',
      // Claude Code's default is 30 s. A server that does not answer would delay each task by that.
      MCP_TIMEOUT: String(mcpTimeoutS * 1_000),
      ...GIT,
    },
    secrets,
    credentials,
  };
}
