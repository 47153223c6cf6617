import { Type, type Static } from 'typebox';

const Text = (description: string, options: object = {}) => Type.String({ description, ...options });
const Int = (description: string, minimum: number, maximum: number, fallback: number) =>
  Type.Integer({ description, minimum, maximum, default: fallback });
const list = (fallback: string, description: string, pattern = '^$|^[^,\\s]+(,[^,\\s]+)*$') =>
  Type.String({ description, default: fallback, pattern });

/** The broker knows a user for each from its start (nats.conf). */
export const MAX_WORKERS = 256;
/** Each has six consumers, and nats.conf allows 2,000 on a stream. */
export const MAX_QUEUES = 300;

/**
 * All of KSI's configuration: environment variables, read once by each process's entry point (`src/config/load.ts`).
 * The README's table and the tests come from here. A variable that has no default here is optional.
 */
export const Config = Type.Object({
  KSI_DIR: Text("Folder of the cluster's state, logs, `token` and `endpoints.json`. Each cluster has its own.", {
    default: '.ksi',
    minLength: 1,
  }),
  KSI_HOST: Text('Address that the API listens on.', { default: '127.0.0.1', minLength: 1 }),
  KSI_ALLOW_PLAINTEXT: Type.Enum(['no', 'yes'], {
    default: 'no',
    description:
      'Whether the API may listen on an address other than loopback without TLS. Only for use behind a proxy that adds TLS.',
  }),
  KSI_TLS_CERT: Type.Optional(
    Text("File with the API's certificate chain (PEM). A new file is taken up without a restart."),
  ),
  KSI_TLS_KEY: Type.Optional(Text("File with the certificate's private key (PEM).")),
  KSI_ALLOWED_HOSTS: list(
    '',
    'Additional host names that the API accepts in the Host header, separated by commas, such as `ksi.example.org`.',
  ),
  KSI_ALLOWED_ORIGINS: list(
    '',
    'Additional origins whose web pages may use the API, separated by commas, such as `https://ui.example.org`.',
  ),
  KSI_MAX_CONNECTIONS: Int('Connections that an API takes at once.', 1, 1_000_000, 10_000),
  KSI_SPAWN_RATE: Text('Spawns that a token may ask all APIs together for, unless its own rate is another; `0` none.', {
    default: '600/minute',
    pattern: '^(0|[1-9][0-9]{0,8}/(second|minute|hour))$',
  }),
  KSI_PORT: Int('Port of the first API; API n listens on KSI_PORT + n - 1.', 1, 65535, 8000),
  KSI_TOKEN_FILE: Type.Optional(Text('File with the bearer token that the API takes. Default: `token` in KSI_DIR.')),
  KSI_NATS_URL: Type.Optional(
    Text(
      'An existing nats-server to use instead of one that `make up` starts. Several servers of a cluster are separated by commas.',
    ),
  ),
  KSI_NATS_SERVERS: Type.Integer({
    enum: [1, 3],
    default: 1,
    description:
      'Number of nats-servers of the broker (`make up NATS=3`). Each holds every stream. A cluster of three keeps working when one of them fails.',
  }),
  KSI_NATS_PORT: Int(
    'Port of the first nats-server that `make up` starts. If it is taken, `make up` uses a free port and prints it.',
    1,
    65535,
    4222,
  ),
  KSI_NATS_SERVER: Type.Optional(
    Text('The nats-server executable to start. Default: the one on PATH if ≥ 2.14.3, else one is fetched.'),
  ),
  KSI_NATS_SYNC: Text(
    'When the broker syncs to disk: `always` (before each acknowledgement), or an interval such as `1s`. A power loss may lose the work of one interval.',
    {
      default: 'always',
      pattern: '^(always|[0-9]+(ms|s|m))$',
    },
  ),
  KSI_NATS_ENCRYPTION_KEY_FILE: Type.Optional(
    Text(
      'File with the key that the broker encrypts its store with, of at least 32 characters. Set it before the first `make up`, and keep the file: without it the store cannot be read.',
    ),
  ),
  KSI_NATS_AGENTS: list(
    '',
    'Ids of agents that connect to the broker themselves, separated by commas. `make up` creates a broker user for each (`nats/agent-<id>.nk` in KSI_DIR).',
    '^([A-Za-z0-9_-]{1,64}(,[A-Za-z0-9_-]{1,64})*)?$',
  ),
  KSI_NATS_TLS_CERT: Type.Optional(
    Text('File with the certificate chain (PEM) of the nats-servers that `make up` starts, for 127.0.0.1.'),
  ),
  KSI_NATS_TLS_KEY: Type.Optional(Text("File with that certificate's private key (PEM).")),
  KSI_NATS_TLS_CA: Type.Optional(
    Text(
      "File with the CA certificates (PEM) that must have signed the broker's certificate. Default if KSI_NATS_URL has `tls://`: the certificates that Node trusts.",
    ),
  ),
  KSI_NATS_CREDENTIALS: Type.Optional(
    Text('NKey seed file with which this process connects to the broker. Set by `make up`.'),
  ),
  KSI_NATS_INBOX: Type.Optional(Text('Inbox prefix that this process may receive replies on. Set by `make up`.')),
  KSI_PROCESS: Type.Optional(
    Text(
      'Name of this process in its cluster, such as `api-1` or `worker-2`. It stays the same when the process restarts. Set by `make up`.',
      {
        pattern: '^[a-z0-9-]{1,64}$',
      },
    ),
  ),
  KSI_WORKERS: Int('Worker processes that `make up` starts (`make up WORKERS=4`).', 0, MAX_WORKERS, 1),
  KSI_APIS: Int('API processes that `make up` starts (`make up API=2`).', 1, 64, 1),
  KSI_CONCURRENCY: Int(
    'Maximum number of simultaneous runs per worker. Each needs 0.3 to 1.2 GB of memory with the real executable.',
    1,
    1024,
    4,
  ),
  KSI_WARM: Int(
    'Number of Claude processes that each worker starts in advance for tasks of new sessions (docs/sessions.md). Each needs 170 to 260 MB of memory.',
    0,
    64,
    0,
  ),
  KSI_QUEUES: list(
    'default',
    `Queues that workers serve, separated by commas. At most ${MAX_QUEUES}.`,
    '^[A-Za-z0-9_-]{1,64}(,[A-Za-z0-9_-]{1,64})*$',
  ),
  KSI_QUEUE_MAX: Int(
    'Maximum number of tasks in a queue, including waiting ones. Above 90 % of it, new tasks are refused with 429.',
    10,
    100_000_000,
    1_000_000,
  ),
  KSI_QUEUE_MAX_BYTES: Int(
    'Maximum size of the tasks of all queues together, in bytes. Above 90 % of it, new tasks are refused with 429.',
    1_048_576,
    Number.MAX_SAFE_INTEGER,
    2_147_483_648,
  ),
  KSI_LEASE_S: Int(
    'Seconds until another worker takes over the task of a silent worker. A worker renews its lease three times in this period.',
    2,
    300,
    15,
  ),
  KSI_WORKER_MAX_TASKS: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000_000,
      description:
        'Number of attempts after which a worker drains and exits with 0, so that its supervisor starts a new one. Default: no limit.',
    }),
  ),
  KSI_DRAIN_S: Int('Seconds that a worker lets its runs finish at shutdown before it gives them back.', 0, 3600, 30),
  KSI_RESTART_MAX_S: Int(
    'Maximum delay, in seconds, before the supervisor restarts a process that ended unexpectedly. The first delay is half a second.',
    1,
    3600,
    30,
  ),
  KSI_EVENTS_MAX_AGE_S: Int(
    'Seconds that events are kept. No task stays open longer: a task waits for its start for at most half of this time, and an attempt takes at most the other half.',
    7200,
    31_536_000,
    604_800,
  ),
  KSI_EVENTS_MAX_BYTES: Int(
    'Maximum size of the event stream, in bytes. The broker refuses events above it, and deletes none.',
    1_048_576,
    Number.MAX_SAFE_INTEGER,
    10_737_418_240,
  ),
  KSI_STREAM_MAX_BYTES: list(
    '',
    'Maximum sizes of other streams in bytes, separated by commas, such as `KSI_TRANSCRIPTS=21474836480,KSI_AUDIT=536870912`. docs/reliability.md lists the streams.',
    '^([A-Za-z_]+=[1-9][0-9]{0,14}(,[A-Za-z_]+=[1-9][0-9]{0,14})*)?$',
  ),
  KSI_RETENTION: Type.Enum(['on', 'off'], {
    default: 'on',
    description:
      'Whether KSI deletes data by age and size (docs/reliability.md). With `off`, it deletes only on request.',
  }),
  KSI_RETENTION_TASKS_S: Int(
    'Seconds that ended tasks are kept, and unnamed sessions with one task. `0`: forever. The two newest tasks of any other session are kept as long as the session.',
    0,
    315_360_000,
    2_592_000,
  ),
  KSI_RETENTION_SESSIONS_S: Int(
    "Seconds that a session is kept after its last use, with its transcript, folder and tasks. `0`: forever. An agent's session is kept as long as the agent.",
    0,
    315_360_000,
    7_776_000,
  ),
  KSI_RETENTION_TRANSCRIPTS_BYTES: Int(
    'Maximum size of all transcripts, in bytes. Above it, the least recently used sessions are deleted. `0`: no limit.',
    0,
    Number.MAX_SAFE_INTEGER,
    8_589_934_592,
  ),
  KSI_RETENTION_WORKSPACES_S: Int(
    'Seconds that the working folder of a session is kept after its last use. `0`: as long as the session.',
    0,
    315_360_000,
    2_592_000,
  ),
  KSI_RETENTION_WORKSPACES_BYTES: Int(
    'Maximum size of the working folders below KSI_DIR, in bytes. Above it, the least recently used ones are removed. `0`: no limit.',
    0,
    Number.MAX_SAFE_INTEGER,
    0,
  ),
  KSI_RETENTION_EXCHANGES_S: Int(
    "Seconds that the counts of an agents' exchange are kept after its last activity.",
    3600,
    31_536_000,
    2_592_000,
  ),
  KSI_CONTAINMENT: Type.Enum(['auto', 'sandbox', 'process_group'], {
    default: 'auto',
    description:
      "What holds Claude's processes: `sandbox` (bubblewrap; the worker does not start without it), `auto` (the sandbox, or else a PID namespace, or else a guard process), or `process_group` (always the guard process).",
  }),
  KSI_BWRAP: Type.Optional(
    Text('The bubblewrap executable. Default: the one on PATH. On Debian, `make up` downloads it if there is none.'),
  ),
  KSI_CLAUDE_BIN: Type.Optional(Text('The claude executable. Default: the one that the Agent SDK brings.')),
  KSI_CLAUDE_ENV: list('', 'Names of further environment variables that Claude may see, by comma.'),
  KSI_WORKSPACES: list(
    '',
    'Folders that tasks may work in, as `name=/path`, separated by commas. A request names one in `workspace`. Use the same names for all workers and APIs.',
    '^$|^[A-Za-z0-9_-]{1,64}=/[^,]*(,[A-Za-z0-9_-]{1,64}=/[^,]*)*$',
  ),
  KSI_WORKSPACE_WRITERS: list(
    '1',
    'Maximum number of tasks that write in a workspace at once. `0`: no limit. Numbers for single roots follow after commas, such as `1,builds=4`. A root inside another one, or with the same folder, counts as part of it. Use the same value for all workers and APIs.',
    '^\\d{1,4}(,[A-Za-z0-9_-]{1,64}=\\d{1,4})*$',
  ),
  KSI_TOOL_POLICY: Type.Optional(
    Text(
      'JSON file with the tools that tasks may use, whatever they request (docs/security.md). KSI reads it again when it changes.',
    ),
  ),
  KSI_MCP_TIMEOUT_S: Int(
    'Seconds that an MCP server has to connect. A task starts without a slower server, or fails if the server is `required`.',
    1,
    600,
    10,
  ),
  KSI_MCP_SERVERS: Type.Optional(
    Text(
      'JSON file with the MCP servers that tasks may name in `mcp_servers`: `{"name": {"command": …}}`. KSI reads it again when it changes.',
    ),
  ),
  KSI_PROMPTS: Type.Optional(
    Text(
      "Folder with your own `compositions/*.yaml`, `components/**/*.md` and `profiles/*.json`, in addition to KSI's (docs/prompts.md). KSI reads them again when they change.",
    ),
  ),
  KSI_PROFILES: Type.Optional(Text('Folder of profiles. Default: `profiles` in KSI_PROMPTS.')),
  KSI_BUDGETS: Type.Optional(
    Text(
      'JSON file with the budgets of sessions, owners and tokens, such as `{"owner_usd_per_day": 20}`. KSI reads it again when it changes.',
    ),
  ),
  KSI_TASK_MEMORY_MB: Int(
    'Maximum memory of all processes of an attempt together, in MB, checked every second (Linux). `0`: no limit.',
    0,
    1_048_576,
    4096,
  ),
  KSI_TASK_OUTPUT_MB: Int(
    'Maximum output of Claude in an attempt, in MB, including partial text. `0`: no limit.',
    0,
    1_048_576,
    256,
  ),
  KSI_USAGE_LIMIT: Type.Enum(['fleet', 'task'], {
    default: 'fleet',
    description:
      'What waits when Claude reports that a usage limit is reached: all workers with the same account, or only the task that reached it.',
  }),
  KSI_MODEL: Text('Model of a task that names none.', { default: 'sonnet', minLength: 1 }),
  KSI_MAX_PROMPT_CHARS: Int('Characters that a prompt may have.', 1, 100_000_000, 4_000_000),
  KSI_MAX_BODY_BYTES: Int('Bytes that the body of an HTTP request may have.', 1024, 1_073_741_824, 16_777_216),
  KSI_LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], {
    default: 'info',
    description: 'The log level. Logs are JSON lines on stderr.',
  }),
  KSI_LOG_PROMPTS: Type.Enum(['no', 'yes'], {
    default: 'no',
    description: 'Whether the API logs the prompts of accepted tasks at `info`. Prompts may be confidential.',
  }),
  KSI_BRIDGE: Type.Integer({
    enum: [0, 1],
    default: 0,
    description:
      'Whether `make up` runs the bridge for clients of the old daemon (`make up BRIDGE=1`, docs/migration.md).',
  }),
  KSI_BRIDGE_DIR: Type.Optional(
    Text(
      "The bridge's working folder: where the old daemon's clients find its socket and files. Default: `bridge` in KSI_DIR.",
    ),
  ),
  KSI_BRIDGE_SOCKET: Type.Optional(
    Text("The bridge's Unix socket. Default: `sockets/claude_daemon.sock` in its working folder."),
  ),
  KSI_BRIDGE_TOKEN_FILE: Type.Optional(
    Text("File with the bridge's token: all that its clients make is its owner's. Default: KSI_TOKEN_FILE."),
  ),
  KSI_BRIDGE_UPSTREAM: Type.Optional(
    Text('Unix socket of an old daemon, to which the bridge passes the commands of KSI_BRIDGE_FORWARD.'),
  ),
  KSI_BRIDGE_FORWARD: list(
    '',
    'Commands that the bridge forwards to the old daemon, separated by commas. `all`: every command. `all,-SPAWN`: every command except SPAWN.',
    '^(-?[A-Za-z_]+(,-?[A-Za-z_]+)*)?$',
  ),
  KSI_BRIDGE_TOOLS: list(
    'Task,Bash,Glob,Grep,LS,Read,Edit,MultiEdit,Write,WebFetch,WebSearch',
    'Tools that Claude may use without asking if a client of the bridge enables tools, separated by commas. Default: those of the old daemon.',
  ),
  KSI_METRICS_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65535,
      description:
        "Port of a worker's probes and metrics on KSI_HOST. `0`: a free port. Default: the worker serves none.",
    }),
  ),
});
export type Config = Static<typeof Config>;
