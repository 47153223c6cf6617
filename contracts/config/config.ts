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
  KSI_DIR: Text('State, logs, `token`, `endpoints.json`; one folder is one cluster.', {
    default: '.ksi',
    minLength: 1,
  }),
  KSI_HOST: Text('Address that the API listens on.', { default: '127.0.0.1', minLength: 1 }),
  KSI_ALLOW_PLAINTEXT: Type.Enum(['no', 'yes'], {
    default: 'no',
    description:
      'Whether the API may listen on other addresses than loopback without TLS: only behind something that adds it.',
  }),
  KSI_TLS_CERT: Type.Optional(
    Text("File with the API's certificate chain (PEM). A new file is taken up without a restart."),
  ),
  KSI_TLS_KEY: Type.Optional(Text("File with the certificate's private key (PEM).")),
  KSI_ALLOWED_HOSTS: list(
    '',
    'Further names, by comma, that the API answers to in the Host header: `ksi.example.org`.',
  ),
  KSI_ALLOWED_ORIGINS: list(
    '',
    'Origins, by comma, whose pages may use the API beside its own: `https://ui.example.org`.',
  ),
  KSI_MAX_CONNECTIONS: Int('Connections that an API takes at once.', 1, 1_000_000, 10_000),
  KSI_SPAWN_RATE: Text('Spawns that a token may ask all APIs together for, unless its own rate is another; `0` none.', {
    default: '600/minute',
    pattern: '^(0|[1-9][0-9]{0,8}/(second|minute|hour))$',
  }),
  KSI_PORT: Int('Port of the first API; API n listens on KSI_PORT + n - 1.', 1, 65535, 8000),
  KSI_TOKEN_FILE: Type.Optional(Text('File with the bearer token that the API takes. Default: `token` in KSI_DIR.')),
  KSI_NATS_URL: Type.Optional(
    Text('An existing nats-server (or several, by comma) to use instead of one that `make up` starts.'),
  ),
  KSI_NATS_SERVERS: Type.Integer({
    enum: [1, 3],
    default: 1,
    description:
      'nats-servers that the broker is made of, each of which holds every stream (`make up NATS=3`): a cluster of three goes on without any one of them.',
  }),
  KSI_NATS_PORT: Int(
    'Port of the (first) nats-server that `make up` starts; when taken, a free one is used and shown.',
    1,
    65535,
    4222,
  ),
  KSI_NATS_SERVER: Type.Optional(
    Text('The nats-server executable to start. Default: the one on PATH if ≥ 2.14.3, else one is fetched.'),
  ),
  KSI_NATS_SYNC: Text(
    'When the broker syncs to disk: `always` before each acknowledgement, or an interval such as `1s`, whose length of work a power loss may take.',
    {
      default: 'always',
      pattern: '^(always|[0-9]+(ms|s|m))$',
    },
  ),
  KSI_NATS_ENCRYPTION_KEY_FILE: Type.Optional(
    Text(
      'File with the key (32 characters or more) that the broker encrypts its store with. Chosen before the first `make up`, and kept: without it nothing can be read.',
    ),
  ),
  KSI_NATS_AGENTS: list(
    '',
    'Ids of agents, by comma, that connect to the broker themselves: `make up` makes each a user (`nats/agent-<id>.nk` in KSI_DIR).',
    '^([A-Za-z0-9_-]{1,64}(,[A-Za-z0-9_-]{1,64})*)?$',
  ),
  KSI_NATS_TLS_CERT: Type.Optional(
    Text('File with the certificate chain (PEM) of the nats-servers that `make up` starts, for 127.0.0.1.'),
  ),
  KSI_NATS_TLS_KEY: Type.Optional(Text("File with that certificate's private key (PEM).")),
  KSI_NATS_TLS_CA: Type.Optional(
    Text(
      "File with the certificates (PEM) that the broker's must be signed by. Default for a `tls://…` in KSI_NATS_URL: those that Node trusts.",
    ),
  ),
  KSI_NATS_CREDENTIALS: Type.Optional(
    Text('NKey seed file with which this process connects to the broker. Set by `make up`.'),
  ),
  KSI_NATS_INBOX: Type.Optional(Text('Inbox prefix that this process may receive replies on. Set by `make up`.')),
  KSI_PROCESS: Type.Optional(
    Text('Name of this process in its cluster (`api-1`, `worker-2`), the same over restarts. Set by `make up`.', {
      pattern: '^[a-z0-9-]{1,64}$',
    }),
  ),
  KSI_WORKERS: Int('Worker processes that `make up` starts (`make up WORKERS=4`).', 0, MAX_WORKERS, 1),
  KSI_APIS: Int('API processes that `make up` starts (`make up API=2`).', 1, 64, 1),
  KSI_CONCURRENCY: Int(
    'Runs of Claude at once per worker (each takes 0.3 to 1.2 GB with the real executable).',
    1,
    1024,
    4,
  ),
  KSI_WARM: Int(
    'Processes of Claude that each worker keeps started for tasks of new sessions (docs/sessions.md); each takes 170 to 260 MB.',
    0,
    64,
    0,
  ),
  KSI_QUEUES: list(
    'default',
    `Queues that exist and that workers serve, by comma; at most ${MAX_QUEUES}.`,
    '^[A-Za-z0-9_-]{1,64}(,[A-Za-z0-9_-]{1,64})*$',
  ),
  KSI_QUEUE_MAX: Int(
    'Tasks that may stand in a queue, waiting ones counted; beyond 90 % of it new ones are refused with 429.',
    10,
    100_000_000,
    1_000_000,
  ),
  KSI_QUEUE_MAX_BYTES: Int(
    'Bytes that the tasks of all queues may take together; beyond 90 % of it new ones are refused with 429.',
    1_048_576,
    Number.MAX_SAFE_INTEGER,
    2_147_483_648,
  ),
  KSI_LEASE_S: Int(
    'Seconds after which a task whose worker is silent runs elsewhere; renewed three times in that time.',
    2,
    300,
    15,
  ),
  KSI_WORKER_MAX_TASKS: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000_000,
      description:
        'Attempts after which a worker drains and exits with 0, for its supervisor to start it anew. Without it a worker stays.',
    }),
  ),
  KSI_DRAIN_S: Int('Seconds that a worker lets its runs finish at shutdown before it gives them back.', 0, 3600, 30),
  KSI_RESTART_MAX_S: Int(
    'Longest pause, in seconds, before the supervisor starts a process again that ended by itself; the first is half a second.',
    1,
    3600,
    30,
  ),
  KSI_EVENTS_MAX_AGE_S: Int(
    'Seconds that events are kept. No task stays open longer: half of it bounds the wait for a start, and half an attempt.',
    7200,
    31_536_000,
    604_800,
  ),
  KSI_EVENTS_MAX_BYTES: Int(
    'Bytes that the event stream may take; beyond it the broker refuses, it drops nothing.',
    1_048_576,
    Number.MAX_SAFE_INTEGER,
    10_737_418_240,
  ),
  KSI_STREAM_MAX_BYTES: list(
    '',
    'Bytes that other streams may take, by comma: `KSI_TRANSCRIPTS=21474836480,KSI_AUDIT=536870912` (docs/reliability.md has all streams).',
    '^([A-Za-z_]+=[1-9][0-9]{0,14}(,[A-Za-z_]+=[1-9][0-9]{0,14})*)?$',
  ),
  KSI_RETENTION: Type.Enum(['on', 'off'], {
    default: 'on',
    description: 'Whether anything is deleted by its age or size (docs/reliability.md); `off`: only what is asked for.',
  }),
  KSI_RETENTION_TASKS_S: Int(
    'Seconds that ended tasks are kept, and sessions of one task that have no name; `0`: for ever. The two newest tasks of another session stay with it.',
    0,
    315_360_000,
    2_592_000,
  ),
  KSI_RETENTION_SESSIONS_S: Int(
    'Seconds that a session is kept after its last use, with its transcript, folder and tasks; `0`: for ever. The session of an agent stays with it.',
    0,
    315_360_000,
    7_776_000,
  ),
  KSI_RETENTION_TRANSCRIPTS_BYTES: Int(
    'Bytes that transcripts may take; beyond it the sessions that were not used for longest are deleted; `0`: any.',
    0,
    Number.MAX_SAFE_INTEGER,
    8_589_934_592,
  ),
  KSI_RETENTION_WORKSPACES_S: Int(
    'Seconds that the working folder of a session is kept after its last use; `0`: as long as the session.',
    0,
    315_360_000,
    2_592_000,
  ),
  KSI_RETENTION_WORKSPACES_BYTES: Int(
    'Bytes that the working folders below KSI_DIR may take; beyond it those that were not used for longest are removed; `0`: any.',
    0,
    Number.MAX_SAFE_INTEGER,
    0,
  ),
  KSI_RETENTION_EXCHANGES_S: Int(
    'Seconds that the counts of an exchange of agents are kept after the last one.',
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
    Text('The bubblewrap executable. Default: the one on PATH; on Debian `make up` fetches it if there is none.'),
  ),
  KSI_CLAUDE_BIN: Type.Optional(Text('The claude executable. Default: the one that the Agent SDK brings.')),
  KSI_CLAUDE_ENV: list('', 'Names of further environment variables that Claude may see, by comma.'),
  KSI_WORKSPACES: list(
    '',
    'Folders that tasks may work in, by comma, as `name=/path`; a request names one as its `workspace`. The same names on every worker and API.',
    '^$|^[A-Za-z0-9_-]{1,64}=/[^,]*(,[A-Za-z0-9_-]{1,64}=/[^,]*)*$',
  ),
  KSI_WORKSPACE_WRITERS: list(
    '1',
    'How many tasks may write in a workspace at once; `0`: any number. After it, by comma, other numbers for some roots: `1,builds=4`. A root inside another one, or of the same folder, counts as part of that. The same on every worker and API.',
    '^\\d{1,4}(,[A-Za-z0-9_-]{1,64}=\\d{1,4})*$',
  ),
  KSI_TOOL_POLICY: Type.Optional(
    Text(
      'JSON file that says which tools tasks may use, whatever they ask for (docs/security.md). Read anew when it changes.',
    ),
  ),
  KSI_MCP_TIMEOUT_S: Int(
    'How long an MCP server has to connect; a task begins without one that takes longer, or fails if it is `required`.',
    1,
    600,
    10,
  ),
  KSI_MCP_SERVERS: Type.Optional(
    Text(
      'JSON file with the MCP servers that tasks may name in `mcp_servers`: `{"name": {"command": …}}`. Read anew when it changes.',
    ),
  ),
  KSI_PROMPTS: Type.Optional(
    Text(
      'Folder with `compositions/*.yaml`, `components/**/*.md` and `profiles/*.json` of your own, beside those that come with KSI (docs/prompts.md). Read anew when they change.',
    ),
  ),
  KSI_PROFILES: Type.Optional(Text('Folder of profiles, if it is another one than `profiles` in KSI_PROMPTS.')),
  KSI_BUDGETS: Type.Optional(
    Text(
      'JSON file that says what sessions, owners and tokens may cost: `{"owner_usd_per_day": 20}`. Read anew when it changes.',
    ),
  ),
  KSI_TASK_MEMORY_MB: Int(
    'Memory that the processes of an attempt may have together, looked at every second (Linux). `0`: any.',
    0,
    1_048_576,
    4096,
  ),
  KSI_TASK_OUTPUT_MB: Int('What Claude may write in an attempt, partial text included. `0`: any.', 0, 1_048_576, 256),
  KSI_USAGE_LIMIT: Type.Enum(['fleet', 'task'], {
    default: 'fleet',
    description:
      'Who waits when Claude reports that a usage limit is reached: all workers that sign in with the same account, or the task alone that met it.',
  }),
  KSI_MODEL: Text('Model of a task that names none.', { default: 'sonnet', minLength: 1 }),
  KSI_MAX_PROMPT_CHARS: Int('Characters that a prompt may have.', 1, 100_000_000, 4_000_000),
  KSI_MAX_BODY_BYTES: Int('Bytes that the body of an HTTP request may have.', 1024, 1_073_741_824, 16_777_216),
  KSI_LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], {
    default: 'info',
    description: 'What is logged, to stderr as JSON lines.',
  }),
  KSI_LOG_PROMPTS: Type.Enum(['no', 'yes'], {
    default: 'no',
    description:
      "Whether the API logs the prompts of the tasks that it accepts, at `info`: they are their users' own words.",
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
    'Commands that go to the old daemon, by comma; `all`, and `all,-SPAWN` for all but that.',
    '^(-?[A-Za-z_]+(,-?[A-Za-z_]+)*)?$',
  ),
  KSI_BRIDGE_TOOLS: list(
    'Task,Bash,Glob,Grep,LS,Read,Edit,MultiEdit,Write,WebFetch,WebSearch',
    'What Claude may use without asking where a client of the bridge enables tools, as the old daemon let it; by comma.',
  ),
  KSI_METRICS_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65535,
      description:
        "Port of a worker's probes and metrics on KSI_HOST (0: a free one). Without it a worker serves none.",
    }),
  ),
});
export type Config = Static<typeof Config>;
