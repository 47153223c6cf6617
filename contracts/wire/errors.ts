/**
 * Every error that KSI can answer with. The code is the contract, the text is not (NATS ADR-7).
 * `status` is the HTTP status of a request's error; errors of a task have none. `retryable` says whether another try may help; no other place judges that.
 */
interface ErrorEntry {
  readonly status: number;
  readonly title: string;
  /** What the user should do next. */
  readonly next: string;
  /** The same request may succeed later. Absent: it would fail again. */
  readonly retryable?: true;
  /** The `Retry-After` of an answer, in seconds. An error can override it. */
  readonly retryAfter?: number;
  /** The cause is unknown, so a loop repeats the action a limited number of times. */
  readonly unexpected?: true;
}

export const API_ERRORS = {
  invalid_request: {
    status: 400,
    title: 'The request is invalid',
    next: 'Correct the fields named in `errors`; the schema is at /docs.',
  },
  invalid_json: {
    status: 400,
    title: 'The body is not JSON',
    next: 'Send one JSON object, encoded as UTF-8, with `Content-Type: application/json`.',
  },
  invalid_cursor: {
    status: 400,
    title: 'The cursor is malformed',
    next: 'Use the `cursor` of an event or the `next_cursor` of the same list unchanged, or leave it out.',
  },
  cursor_gone: {
    status: 400,
    title: 'The cursor belongs to another event stream, or is ahead of this one',
    next: 'Start without a cursor. The stream was re-created or restored since the cursor was issued.',
  },
  invalid_subject: {
    status: 400,
    title: 'The subject pattern is invalid',
    next: 'Use tokens of `ksi.events.>` or `ksi.live.>`, with `*` for one token and `>` for the rest.',
  },
  unauthorized: {
    status: 401,
    title: 'The request has no valid token',
    next: 'Send `Authorization: Bearer TOKEN`. `make up` wrote a token to `.ksi/token`.',
  },
  forbidden: {
    status: 403,
    title: 'The token does not permit this',
    next: 'Ask the operator for a token with the required scope, or for one that sees all owners.',
  },
  host_not_allowed: {
    status: 403,
    title: 'The Host header is not an allowed host of this API',
    next: 'Use the address that the API listens on. Operators allow other hosts in KSI_ALLOWED_HOSTS.',
  },
  origin_not_allowed: {
    status: 403,
    title: 'Web pages of this origin may not use the API',
    next: 'Operators allow origins in KSI_ALLOWED_ORIGINS.',
  },
  tool_not_allowed: {
    status: 403,
    title: 'The tool policy does not allow this tool',
    next: 'Omit the named tool rule, or ask the operator to change KSI_TOOL_POLICY.',
  },
  not_found: {
    status: 404,
    title: 'The object does not exist',
    next: 'Check the id. GET on the collection lists what exists.',
  },
  method_not_allowed: {
    status: 405,
    title: 'This path does not support the method',
    next: 'Use a method in the `Allow` header. /docs describes them.',
  },
  session_not_found: {
    status: 404,
    title: 'The session does not exist',
    next: 'Check its id, or omit `resume_only` to start a new session.',
  },
  workspace_not_found: {
    status: 404,
    title: 'No worker has the working folder of the session',
    next: 'The session has not run yet, its folder was removed, or its host left the cluster. `GET /workers` lists the workers.',
  },
  file_not_found: {
    status: 404,
    title: 'There is no such file in the working folder',
    next: 'GET /sessions/:id/files lists the files.',
  },
  not_a_repository: {
    status: 409,
    title: 'The working folder has no git changes to show',
    next: 'Read the files instead: GET /sessions/:id/files.',
  },
  task_ended: { status: 409, title: 'The task has already ended', next: 'Its outcome is at GET /tasks/:id.' },
  not_running: {
    status: 409,
    title: 'The task is not running',
    next: 'Only a running attempt can be interrupted. Cancel a task that has not started.',
  },
  not_ended: {
    status: 409,
    title: 'The task has not ended',
    next: 'Wait for its outcome or cancel it, then ask again.',
  },
  not_retryable: {
    status: 409,
    title: 'The task cannot be retried',
    next: 'Its command was deleted or is invalid. Spawn a new task.',
  },
  workspace_mismatch: {
    status: 409,
    title: 'The session has another working folder',
    next: "Omit `workspace` to continue in the session's folder, or start a new session.",
  },
  session_exists: {
    status: 409,
    title: 'The session already exists',
    next: 'Delete it first, or import under another name.',
  },
  agent_exists: {
    status: 409,
    title: 'The agent id belongs to another owner',
    next: 'Use another id, or omit `agent_id` for a new one.',
  },
  no_suitable_agent: {
    status: 409,
    title: 'No agent has the capabilities that the task needs',
    next: 'Name an agent in `to`, or register one with these capabilities. GET /agents?capability=… lists agents by capability.',
  },
  no_available_agent: {
    status: 409,
    title: 'No agent with these capabilities is available',
    next: 'Name an agent in `to`: it receives the task when it connects or is active again.',
  },
  conversation_ended: {
    status: 409,
    title: 'The conversation has ended',
    next: 'Read it with GET /conversations/:id/transcript, or start a new one.',
  },
  too_many: {
    status: 409,
    title: 'You have reached the limit of objects of this kind',
    next: 'Delete unused ones, or use another owner.',
  },
  exchange_limit: {
    status: 409,
    title: 'The exchange of agents has reached a limit',
    next: 'GET /exchanges/:id shows its usage. Start a new exchange, or set higher `exchange_limits` on the message or agent.',
  },
  too_deep: {
    status: 409,
    title: 'The limit of nested tasks is reached',
    next: 'Do the work in this task, or let a person spawn the task.',
  },
  already_answered: {
    status: 409,
    title: 'The approval was already answered, or is no longer pending',
    next: 'GET /approvals lists pending approvals.',
  },
  conflict: {
    status: 409,
    retryable: true,
    title: 'The object was changed concurrently',
    next: 'Read it again, and repeat the request if it still applies.',
  },
  revision_mismatch: {
    status: 412,
    title: 'It has another revision than the request expects',
    next: 'Read it again, and repeat the request with its revision if it still applies.',
  },
  request_timeout: {
    status: 408,
    retryable: true,
    title: 'The request was sent too slowly',
    next: 'Send the headers within 10 s and the whole request within a minute.',
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    next: 'Send less than 16 KiB of headers. Put large data into the body.',
  },
  identity_exists: {
    status: 409,
    title: 'The agent already has an identity',
    next: 'Change it with PATCH /identities/:agent_id, or delete it first.',
  },
  context_missing: {
    status: 400,
    title: 'The context lacks keys that the composition requires',
    next: 'Add the named keys. GET /compositions/:name describes them.',
  },
  composition_invalid: {
    status: 422,
    title: 'The composition cannot be composed',
    next: 'Ask the maintainer of KSI_PROMPTS to fix the named fault. POST /compositions/:name/validate lists all faults.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    next: 'Send less, or ask the operator to raise KSI_MAX_BODY_BYTES.',
  },
  files_too_large: {
    status: 413,
    title: 'The files exceed the size limit',
    next: 'Request a smaller folder with `path`, or read single files.',
  },
  answer_too_large: {
    status: 413,
    title: "The answer exceeds the broker's message size limit",
    next: 'Request fewer items with `limit`, or use HTTP.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is not plain JSON',
    next: 'Send uncompressed JSON with `Content-Type: application/json`.',
  },
  idempotency_mismatch: {
    status: 422,
    title: 'The idempotency key was used for another request',
    next: 'Use a new key for each request. Reuse a key only with the same body.',
  },
  request_in_progress: {
    status: 409,
    retryable: true,
    title: 'An earlier request with this idempotency key is still being carried out',
    next: 'Repeat the request unchanged after `Retry-After`.',
  },
  rate_limited: {
    status: 429,
    retryable: true,
    title: 'Too many requests',
    next: 'Wait for the time in `Retry-After`.',
    retryAfter: 1,
  },
  budget_exceeded: {
    status: 429,
    retryable: true,
    title: 'A budget is spent',
    next: 'Wait for the time in `Retry-After`, if present, or ask the operator to raise the budget in KSI_BUDGETS.',
  },
  queue_full: {
    status: 429,
    retryable: true,
    title: 'The queue is full',
    next: 'Wait for the time in `Retry-After`, or ask the operator for more workers or a longer queue.',
    retryAfter: 5,
  },
  record_unreadable: {
    status: 500,
    title: 'A stored record does not match its schema',
    next: "Delete the object, or ask the operator to restore the record. The API's log has its name.",
  },
  internal: {
    status: 500,
    retryable: true,
    unexpected: true,
    title: 'KSI failed',
    next: "Search the API's log for the request id, and report the error.",
  },
  disk_full: {
    status: 507,
    retryable: true,
    title: 'A disk of the cluster is full',
    next: 'Free space on the disk of KSI_DIR or of the broker. Accepted tasks then continue on their own.',
    retryAfter: 10,
  },
  broker_unavailable: {
    status: 503,
    retryable: true,
    title: 'The message broker is unavailable',
    next: 'Repeat the request after `Retry-After` seconds. Nothing was started. Operators: run `make status`.',
    retryAfter: 2,
  },
  worker_unreachable: {
    status: 503,
    retryable: true,
    title: 'A worker that the request needs does not answer',
    next: 'Repeat the request after `Retry-After` seconds. A lost worker is replaced within its lease. Cancelling needs no worker.',
    retryAfter: 2,
  },
  schema_unchecked: {
    status: 503,
    retryable: true,
    title: 'This API could not check `output_schema`',
    next: 'Repeat the request after `Retry-After` seconds. If the API is not busy, simplify the schema.',
    retryAfter: 5,
  },
  shutting_down: {
    status: 503,
    retryable: true,
    title: 'This API is shutting down',
    next: 'Repeat the request. Another API, or this one after its restart, will accept it.',
    retryAfter: 2,
  },
} as const satisfies Record<string, ErrorEntry>;
export type ApiErrorCode = keyof typeof API_ERRORS;
export const isRetryable = (code: ApiErrorCode): boolean => 'retryable' in API_ERRORS[code];
/** The usual `Retry-After` of an error, in seconds. Undefined: it depends on the case, or a retry does not help. */
export const retryAfterOf = (code: ApiErrorCode): number | undefined => {
  const entry: ErrorEntry = API_ERRORS[code];
  return entry.retryAfter;
};
/** Whether the cause is known to pass, so that a loop may repeat the action without limit. */
export const isTransientCode = (code: ApiErrorCode): boolean =>
  isRetryable(code) && !('unexpected' in API_ERRORS[code]);

interface TaskErrorEntry {
  readonly title: string;
  readonly next: string;
  /** Another attempt, or the same task later, may succeed. */
  readonly retryable: boolean;
}

/** The values of `data.error.code` in a SPAWN_ERROR. */
export const TASK_ERRORS = {
  claude_not_found: {
    retryable: false,
    title: 'The claude executable could not be started',
    next: "Run `npm ci` on the worker's host, which installs it with the SDK, or set KSI_CLAUDE_BIN to its path.",
  },
  claude_no_credentials: {
    retryable: false,
    title: 'Claude has no credentials',
    next: 'Set ANTHROPIC_API_KEY for the worker, or CLAUDE_CONFIG_DIR to a logged-in Claude configuration, then run `make restart`. `make demo` needs neither.',
  },
  claude_auth_failed: {
    retryable: false,
    title: 'The Messages API refused the credentials',
    next: "Check the worker's ANTHROPIC_API_KEY, or log in again.",
  },
  claude_rate_limited: {
    retryable: true,
    title: 'A rate limit or usage limit of the Messages API is reached',
    next: 'Try again later, or lower the concurrency.',
  },
  claude_overloaded: { retryable: true, title: 'The Messages API is overloaded or failing', next: 'Try again later.' },
  claude_invalid_request: {
    retryable: false,
    title: 'The Messages API refused the request',
    next: 'See `detail`. Common causes are an unknown model and a prompt that is too long.',
  },
  claude_max_turns: {
    retryable: false,
    title: "Claude reached the task's limit of turns",
    next: 'Raise the limit, or continue the session with another task.',
  },
  claude_max_budget: {
    retryable: false,
    title: "Claude reached the task's budget",
    next: 'Raise the budget, or continue the session with another task.',
  },
  output_unchecked: {
    retryable: true,
    title: "Claude's answer could not be checked against `output_schema`",
    next: 'See `output` for the answer. If the worker is not busy, simplify the schema.',
  },
  output_mismatch: {
    retryable: false,
    title: "Claude's answer does not match `output_schema`",
    next: 'See `detail` and `output`. Clarify the prompt or simplify the schema. With `retry_on: ["output_mismatch"]` the task is retried.',
  },
  claude_error: {
    retryable: true,
    title: 'Claude reported an error',
    next: 'See `detail`. A retry may help.',
  },
  claude_crashed: {
    retryable: true,
    title: 'The claude process ended without a result',
    next: 'See the end of its stderr in `detail.stderr`. A retry may help.',
  },
  claude_bad_output: {
    retryable: true,
    title: 'The claude process violated its protocol',
    next: "See `detail`. Check that KSI_CLAUDE_BIN has the SDK's version.",
  },
  transcript_failed: {
    retryable: true,
    title: "The session's transcript could not be stored or read",
    next: 'Check the broker with `make status`, then retry the task.',
  },
  claude_timeout: {
    retryable: true,
    title: 'The attempt took longer than the task allows',
    next: 'Raise `timeout_s` in the policy, or split the task.',
  },
  claude_idle: {
    retryable: true,
    title: 'Claude produced no output for longer than the task allows',
    next: 'Raise `idle_timeout_s` in the policy if its tools take that long. Otherwise, examine its last events.',
  },
  claude_interrupted: {
    retryable: false,
    title: 'Claude was interrupted on request',
    next: 'Continue the session with another task.',
  },
  tool_not_allowed: {
    retryable: false,
    title: 'The tool policy does not allow a tool that the task requests',
    next: 'Omit the named tool rule, or ask the operator to change KSI_TOOL_POLICY.',
  },
  workspace_mismatch: {
    retryable: false,
    title: 'The session has another working folder',
    next: "Omit `workspace` to continue in the session's folder, or start a new session.",
  },
  workspace_unavailable: {
    retryable: true,
    title: 'The working folder cannot be used on this worker',
    next: 'Check that it is a folder below a root of KSI_WORKSPACES, and that its path has no symbolic links.',
  },
  host_unable: {
    retryable: true,
    title: "The worker's host cannot run the task now",
    next: 'The task is retried, and this attempt does not count. Check the host: open files (ulimit -n), processes (ulimit -u), memory, disk. Run `ksi doctor`.',
  },
  mcp_server_unknown: {
    retryable: false,
    title: 'The task names an unknown MCP server',
    next: 'Omit it, or ask the operator to add it to KSI_MCP_SERVERS of every worker.',
  },
  mcp_server_failed: {
    retryable: true,
    title: 'A required MCP server did not connect',
    next: 'See `mcp_servers`. Ask the operator to repair it, or to remove `required` in KSI_MCP_SERVERS.',
  },
  session_gone: {
    retryable: false,
    title: 'The session to continue does not exist',
    next: 'Check its id. It may have been deleted, or has no answer yet.',
  },
  memory_limit: {
    retryable: false,
    title: 'The task exceeded its memory limit',
    next: 'Split the task, or ask the operator to raise KSI_TASK_MEMORY_MB.',
  },
  output_limit: {
    retryable: false,
    title: 'Claude exceeded the output limit',
    next: 'Split the task, or ask the operator to raise KSI_TASK_OUTPUT_MB.',
  },
  worker_lost: {
    retryable: true,
    title: 'Several workers were lost while they ran this task',
    next: "Examine the workers' logs at the times of the attempts. The task may exhaust their memory.",
  },
  internal: {
    retryable: true,
    title: 'The worker failed',
    next: "Search the worker's log for the task id, and report the error.",
  },
} as const satisfies Record<string, TaskErrorEntry>;
export type TaskErrorCode = keyof typeof TASK_ERRORS;

/**
 * Reasons in SPAWN_CANCELLED. `budget_exceeded`: other tasks used up the budget while this one waited. `command_lost`: the broker lost
 * KSI_COMMANDS with the task's command; spawn it again.
 */
export const CANCEL_REASONS = ['not_accepted', 'requested', 'budget_exceeded', 'command_lost'] as const;
/**
 * Reasons in SPAWN_RETRY that do not count against a task's attempts. All others are task errors. Each is what the event's writer observed:
 * - `worker_lost`: the worker that took the task over found the lease expired or the process dead. The cause is unknown; it may be a broker
 *   outage, if that worker was faster than the attempt's own. Only this reason counts as a sign that a task crashes its workers.
 * - `worker_drained`: the worker stopped and returned the task.
 * - `broker_lost`: the worker was alive, but the broker was unavailable for longer than the lease.
 * - `host_unable`: the host lacked a resource, or the slot could not be cleaned.
 */
export const UNCOUNTED_REASONS = ['worker_lost', 'worker_drained', 'broker_lost', 'host_unable'] as const;
/** Reasons in SPAWN_WAITING. */
export const WAITING_REASONS = ['session_busy', 'workspace_busy'] as const;
/** Reasons in SPAWN_RETRY. */
export const RETRY_REASONS = [...UNCOUNTED_REASONS, ...(Object.keys(TASK_ERRORS) as TaskErrorCode[])] as const;
/**
 * Why a task was given up, in SPAWN_ERROR. `attempts_exhausted`: it failed as often as its policy allows, or its time ended before the next
 * attempt. `workers_lost`: it repeatedly crashed its workers. Such a task has a dead letter.
 */
export const GIVEN_UP = ['attempts_exhausted', 'workers_lost'] as const;

/** WebSocket close codes. Codes above 4000 are KSI's own. */
export const CLOSE = {
  restart: 1012,
  unsupported: 1003,
  /** The client reads too slowly. The reason contains its last cursor. */
  tooSlow: 4408,
  /** The connection's token was revoked or has expired. */
  revoked: 4401,
} as const;
