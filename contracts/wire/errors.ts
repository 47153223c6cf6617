/**
 * Every error that KSI can answer with. The code is the contract, the text is not (NATS ADR-7).
 * `status` is the HTTP status of a request's error; errors of a task have none. `retryable` says whether another try may help; no other place judges that.
 */
interface ErrorEntry {
  readonly status: number;
  readonly title: string;
  /** What the person should do next. */
  readonly next: string;
  /** The same request may succeed later, as it is. Absent: it would be refused again. */
  readonly retryable?: true;
  /** The cause is unknown, so a loop repeats the action a limited number of times. */
  readonly unexpected?: true;
}

export const API_ERRORS = {
  invalid_request: {
    status: 400,
    title: 'The request is not valid',
    next: 'Correct the fields named in `errors`; the schema is at /docs.',
  },
  invalid_json: {
    status: 400,
    title: 'The body is not JSON',
    next: 'Send one JSON object, encoded as UTF-8, with `Content-Type: application/json`.',
  },
  invalid_cursor: {
    status: 400,
    title: 'The cursor is not one of ours',
    next: 'Use the `cursor` of an event or the `next_cursor` of the same list unchanged, or leave it out.',
  },
  cursor_gone: {
    status: 400,
    title: 'The cursor is of another or a future event stream',
    next: 'Start without a cursor; the stream was made anew since it was given out.',
  },
  invalid_subject: {
    status: 400,
    title: 'The subject pattern is not valid',
    next: 'Use tokens of `ksi.events.>` or `ksi.live.>`, with `*` for one token and `>` for the rest.',
  },
  unauthorized: {
    status: 401,
    title: 'No valid token was given',
    next: 'Send `Authorization: Bearer TOKEN`; `make up` wrote the token to `.ksi/token`.',
  },
  forbidden: {
    status: 403,
    title: 'The token is not enough for this',
    next: 'Ask the operator for a token with the scope that is named, or for one that sees all owners.',
  },
  host_not_allowed: {
    status: 403,
    title: 'The Host header names no host of this API',
    next: 'Use the address that it listens on; operators name further ones in KSI_ALLOWED_HOSTS.',
  },
  origin_not_allowed: {
    status: 403,
    title: 'Pages of this origin may not use the API',
    next: 'Operators name the origins that may in KSI_ALLOWED_ORIGINS.',
  },
  tool_not_allowed: {
    status: 403,
    title: 'A policy does not allow this tool',
    next: 'Leave out the rule that is named, or ask the operator to change KSI_TOOL_POLICY.',
  },
  not_found: { status: 404, title: 'There is no such thing here', next: 'Check the id; list what there is with GET.' },
  method_not_allowed: {
    status: 405,
    title: 'This address has no such method',
    next: 'Use one of those that `Allow` names; /docs tells what each does.',
  },
  session_not_found: {
    status: 404,
    title: 'The session is not known',
    next: 'Leave out `resume_only` to begin it, or check its id.',
  },
  task_ended: { status: 409, title: 'The task has already ended', next: 'Its outcome is at GET /tasks/:id.' },
  not_running: {
    status: 409,
    title: 'The task is not running now',
    next: 'Only an attempt under way can be interrupted; a task that has not begun can be cancelled.',
  },
  not_ended: {
    status: 409,
    title: 'The task has not ended',
    next: 'Wait for its outcome or cancel it, then ask again.',
  },
  not_retryable: {
    status: 409,
    title: 'The task cannot be run again',
    next: 'Its command is not kept any more, or is not valid: spawn a new one.',
  },
  workspace_mismatch: {
    status: 409,
    title: 'The session has another working folder',
    next: 'Leave out `workspace` to continue in the folder it began in, or begin another session.',
  },
  session_exists: {
    status: 409,
    title: 'There is such a session already',
    next: 'Delete it first, or import under another name.',
  },
  agent_exists: {
    status: 409,
    title: 'An agent of this id belongs to another owner',
    next: 'Register it under another id, or leave `agent_id` out for a new one.',
  },
  no_suitable_agent: {
    status: 409,
    title: 'No agent has the capabilities that the task needs',
    next: 'Name an agent in `to`, or register one with a capability of those (GET /agents?capability=…).',
  },
  no_available_agent: {
    status: 409,
    title: 'No agent with these capabilities is there now',
    next: 'Name one in `to`: it gets the task when it connects, or is active again.',
  },
  conversation_ended: {
    status: 409,
    title: 'The conversation has ended',
    next: 'Read it at GET /conversations/:id/transcript, or begin another one.',
  },
  too_many: {
    status: 409,
    title: 'There are as many of your own as an owner may have',
    next: 'Delete what is not needed any more, or use another owner.',
  },
  exchange_limit: {
    status: 409,
    title: 'The exchange of agents has reached one of its limits',
    next: 'See what it has had with GET /exchanges/:id. Begin another exchange, or give the message or the agent higher `exchange_limits`.',
  },
  too_deep: {
    status: 409,
    title: 'Tasks have asked for tasks that asked for tasks, and this would be one too many',
    next: 'Do it in this task, or let a person ask for it.',
  },
  already_answered: {
    status: 409,
    title: 'This was answered, or is not asked any more',
    next: 'See what is open now with GET /approvals.',
  },
  conflict: {
    status: 409,
    retryable: true,
    title: 'Somebody else changed this at the same time',
    next: 'Read it again and repeat the request if it still applies.',
  },
  revision_mismatch: {
    status: 412,
    title: 'It has another revision than the request expects',
    next: 'Read it again, and repeat the request with its revision if it still applies.',
  },
  request_timeout: {
    status: 408,
    retryable: true,
    title: 'The request came too slowly',
    next: 'Send the headers within 10 s, and all of it within a minute.',
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    next: 'Send less than 16 KiB of them; what is large belongs in the body.',
  },
  identity_exists: {
    status: 409,
    title: 'The agent has an identity already',
    next: 'Change it with PATCH /identities/:agent_id, or remove it first.',
  },
  context_missing: {
    status: 400,
    title: 'The context lacks keys that the composition requires',
    next: 'Give the keys that are named; GET /compositions/:name says what each is.',
  },
  composition_invalid: {
    status: 422,
    title: 'The composition cannot be composed',
    next: 'Ask whoever keeps KSI_PROMPTS to correct what is named; POST /compositions/:name/validate tells all.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    next: 'Send less, or ask the operator to raise KSI_MAX_BODY_BYTES.',
  },
  answer_too_large: {
    status: 413,
    title: 'The answer is larger than a message of the broker may be',
    next: 'Ask for less at once (`limit`), or ask over HTTP.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is of another type than JSON',
    next: 'Send `Content-Type: application/json`.',
  },
  idempotency_mismatch: {
    status: 422,
    title: 'The idempotency key was used for another request',
    next: 'Use a key of its own for each request; repeat one only with the same body.',
  },
  rate_limited: {
    status: 429,
    retryable: true,
    title: 'Too many requests',
    next: 'Wait as long as `Retry-After` says.',
  },
  budget_exceeded: {
    status: 429,
    retryable: true,
    title: 'A budget is spent',
    next: 'Wait as long as `Retry-After` says, if it does, or ask the operator to raise it in KSI_BUDGETS.',
  },
  queue_full: {
    status: 429,
    retryable: true,
    title: 'The queue is full',
    next: 'Wait as long as `Retry-After` says, or ask the operator for more workers or a longer queue.',
  },
  record_unreadable: {
    status: 500,
    title: 'A stored record does not match its schema',
    next: "Delete it, or ask the operator to restore the record that the API's log names.",
  },
  internal: {
    status: 500,
    retryable: true,
    unexpected: true,
    title: 'KSI failed',
    next: "Look in the API's log for the request id; please report it.",
  },
  disk_full: {
    status: 507,
    retryable: true,
    title: 'A disk of the cluster is full',
    next: 'Make room on the disk of KSI_DIR or of the broker; tasks that were accepted go on by themselves then.',
  },
  broker_unavailable: {
    status: 503,
    retryable: true,
    title: 'The message broker is not reachable',
    next: 'Repeat the request after `Retry-After` seconds; nothing was started. Operators: `make status`.',
  },
  worker_unreachable: {
    status: 503,
    retryable: true,
    title: 'The worker that runs the task does not answer',
    next: 'Repeat the request after `Retry-After` seconds; a lost worker is replaced within its lease. A cancel needs no worker.',
  },
  schema_unchecked: {
    status: 503,
    retryable: true,
    title: 'This API could not check `output_schema`',
    next: 'Repeat the request after `Retry-After` seconds. If the API is not busy, make the schema simpler.',
  },
  shutting_down: {
    status: 503,
    retryable: true,
    title: 'This API is shutting down',
    next: 'Repeat the request; another API or the next start will take it.',
  },
} as const satisfies Record<string, ErrorEntry>;
export type ApiErrorCode = keyof typeof API_ERRORS;
export const isRetryable = (code: ApiErrorCode): boolean => 'retryable' in API_ERRORS[code];
/** Whether the cause is known to pass, so that a loop may repeat the action without limit. */
export const isTransientCode = (code: ApiErrorCode): boolean =>
  isRetryable(code) && !('unexpected' in API_ERRORS[code]);

interface TaskErrorEntry {
  readonly title: string;
  readonly next: string;
  /** Another attempt, or the same task later, may succeed. */
  readonly retryable: boolean;
}

/** What `data.error.code` of a SPAWN_ERROR can be. */
export const TASK_ERRORS = {
  claude_not_found: {
    retryable: false,
    title: 'The claude executable could not be started',
    next: "Run `npm ci` on the worker's host (the SDK's platform package brings it) or set KSI_CLAUDE_BIN to one.",
  },
  claude_no_credentials: {
    retryable: false,
    title: 'Claude has no credentials',
    next: 'Set ANTHROPIC_API_KEY for the worker, or CLAUDE_CONFIG_DIR to a logged-in Claude configuration, and `make up` again; `make demo` needs neither.',
  },
  claude_auth_failed: {
    retryable: false,
    title: 'The Messages API refused the credentials',
    next: "Check the worker's ANTHROPIC_API_KEY or log in again.",
  },
  claude_rate_limited: {
    retryable: true,
    title: 'The Messages API limits the rate, or a usage limit is reached',
    next: 'Try again later, or lower the concurrency.',
  },
  claude_overloaded: { retryable: true, title: 'The Messages API is overloaded or failing', next: 'Try again later.' },
  claude_invalid_request: {
    retryable: false,
    title: 'The Messages API refused the request',
    next: 'See `detail`: often an unknown model or a prompt too long for it.',
  },
  claude_max_turns: {
    retryable: false,
    title: 'Claude reached the limit of turns',
    next: 'Raise the limit, or continue the session with another task.',
  },
  claude_max_budget: {
    retryable: false,
    title: 'Claude reached the budget of this task',
    next: 'Raise the budget, or continue the session with another task.',
  },
  output_unchecked: {
    retryable: true,
    title: "Claude's answer could not be checked against `output_schema`",
    next: 'See `output` for the answer. If the worker is not busy, make the schema simpler.',
  },
  output_mismatch: {
    retryable: false,
    title: "Claude's answer does not fit `output_schema`",
    next: 'See `detail` and `output`. Ask more plainly or make the schema easier to meet; with `retry_on: ["output_mismatch"]` it is tried again.',
  },
  claude_error: {
    retryable: true,
    title: 'Claude ended with an error of its own',
    next: 'See `detail`; running the task again may help.',
  },
  claude_crashed: {
    retryable: true,
    title: 'The claude process died before it gave a result',
    next: 'See the end of its stderr in `detail.stderr`; running the task again may help.',
  },
  claude_bad_output: {
    retryable: true,
    title: 'The claude process wrote something that is not its protocol',
    next: "See `detail`; check that KSI_CLAUDE_BIN names a claude of the SDK's version.",
  },
  transcript_failed: {
    retryable: true,
    title: "The session's transcript could not be stored or read",
    next: 'Check the broker (`make status`) and run the task again.',
  },
  claude_timeout: {
    retryable: true,
    title: 'The attempt took longer than the task allows',
    next: 'Raise `timeout_s` in its policy, or ask for less at once.',
  },
  claude_idle: {
    retryable: true,
    title: 'Claude said nothing for longer than the task allows',
    next: 'Raise `idle_timeout_s` in its policy if its tools take so long; else see what it did last.',
  },
  claude_interrupted: {
    retryable: false,
    title: 'Claude was interrupted, as somebody asked',
    next: 'Continue the session with another task.',
  },
  tool_not_allowed: {
    retryable: false,
    title: 'A policy does not allow a tool that the task asks for',
    next: 'Leave out the rule that is named, or ask the operator to change KSI_TOOL_POLICY.',
  },
  workspace_mismatch: {
    retryable: false,
    title: 'The session has another working folder',
    next: 'Leave out `workspace` to continue in the folder it began in, or begin another session.',
  },
  workspace_unavailable: {
    retryable: true,
    title: 'The working folder cannot be used on this worker',
    next: 'Check that it is a folder below a root of KSI_WORKSPACES, with no symbolic link on its way.',
  },
  host_unable: {
    retryable: true,
    title: "The worker's host cannot run it now",
    next: 'It is tried again, and that counts as no attempt. Check the host: open files (ulimit -n), processes (ulimit -u), memory, disk; run `ksi doctor`.',
  },
  mcp_server_unknown: {
    retryable: false,
    title: 'The task names an MCP server that there is not for it',
    next: 'Leave it out, or ask the operator to add it to KSI_MCP_SERVERS of every worker.',
  },
  mcp_server_failed: {
    retryable: true,
    title: 'An MCP server that the task cannot do without did not connect',
    next: 'See `mcp_servers`. Ask the operator to repair it, or to leave out `required` in KSI_MCP_SERVERS.',
  },
  session_gone: {
    retryable: false,
    title: 'There is no session to go on from',
    next: 'Check its id; it may have been deleted, or has not answered yet.',
  },
  memory_limit: {
    retryable: false,
    title: 'The task used more memory than it may',
    next: 'Ask for less at once, or ask the operator to raise KSI_TASK_MEMORY_MB.',
  },
  output_limit: {
    retryable: false,
    title: 'Claude wrote more than a task may',
    next: 'Ask for less at once, or ask the operator to raise KSI_TASK_OUTPUT_MB.',
  },
  worker_lost: {
    retryable: true,
    title: 'The workers that ran this task vanished again and again',
    next: "Look at the workers' logs around the attempts; the task may exhaust their memory.",
  },
  internal: {
    retryable: true,
    title: 'The worker failed',
    next: "Look in the worker's log for the task id; please report it.",
  },
} as const satisfies Record<string, TaskErrorEntry>;
export type TaskErrorCode = keyof typeof TASK_ERRORS;

/**
 * Reasons in SPAWN_CANCELLED. `budget_exceeded`: while it waited, others spent a budget that it falls under. `command_lost`: the broker lost
 * KSI_COMMANDS, and with it what the task was to do; spawn it again.
 */
export const CANCEL_REASONS = ['not_accepted', 'requested', 'budget_exceeded', 'command_lost'] as const;
/**
 * Reasons in SPAWN_RETRY that don't count against a task's attempts; the others are task errors. Each says what its writer saw:
 * - `worker_lost`: the lease ran out, or the worker was found dead, by the one that took the task over. It can't tell
 *   why: also after an outage of the broker, if it came before the attempt's own worker. Only these count as signs that a task takes its workers down.
 * - `worker_drained`: the worker stopped, and gave it back.
 * - `broker_lost`: the worker lived, but the broker was away for longer than the lease allows.
 * - `host_unable`: its host was short of something, or could not clean the run's place.
 */
export const UNCOUNTED_REASONS = ['worker_lost', 'worker_drained', 'broker_lost', 'host_unable'] as const;
/** Reasons in SPAWN_WAITING. */
export const WAITING_REASONS = ['session_busy', 'workspace_busy'] as const;
/** Reasons in SPAWN_RETRY. */
export const RETRY_REASONS = [...UNCOUNTED_REASONS, ...(Object.keys(TASK_ERRORS) as TaskErrorCode[])] as const;
/**
 * Why a task was given up, in SPAWN_ERROR: its attempts failed as often as its policy allows (or its time is up before
 * the next could be made), or it took its workers down again and again. A task given up has a dead letter.
 */
export const GIVEN_UP = ['attempts_exhausted', 'workers_lost'] as const;

/** WebSocket close codes of ours. 1012 (service restart) is the protocol's own. */
export const CLOSE = {
  restart: 1012,
  unsupported: 1003,
  /** The client reads too slowly; the reason holds its last cursor. */
  tooSlow: 4408,
  /** The token that it was opened with holds no more. */
  revoked: 4401,
} as const;
