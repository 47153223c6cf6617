import { API_ERRORS, type ApiErrorCode } from '../../contracts/wire/errors.js';
import type { KsiError } from '../client/errors.js';

/** The next step as a `ksi` command, where API_ERRORS describes it for HTTP clients or for other people. */
const NEXT_STEPS: Partial<Record<ApiErrorCode, string>> = {
  invalid_request: 'Correct the named values; see `ksi help COMMAND`.',
  invalid_cursor: 'Pass the `cursor` of an event unchanged, or omit it.',
  unauthorized:
    'Set KSI_TOKEN, or run `ksi` where the cluster’s `.ksi` folder is: `make up` wrote the token to `.ksi/token`.',
  method_not_allowed: 'The API and this `ksi` have different versions. Update the older one.',
  not_found: 'Check the name or id: list the objects with `ksi tasks`, `ksi dead`, `ksi agents`, `ksi profiles` ….',
  session_not_found: 'Omit --resume-only to create the session, or check its id: `ksi sessions` lists sessions.',
  workspace_mismatch:
    'Omit --workspace to continue in the workspace of the session, or start another session with --session.',
  workspace_not_found:
    'The session has not run yet, its folder was removed, or its host left. `ksi workers` lists the workers.',
  file_not_found: 'List the files: ksi files SESSION',
  not_a_repository: 'List the files instead: ksi files SESSION',
  files_too_large: 'Name a smaller folder or a single file: ksi files SESSION PATH',
  task_ended: 'See the outcome with `ksi task ID`, or run the task again with `ksi retry ID`.',
  not_running: 'See the state with `ksi task ID`. Cancel a task that has not started with `ksi cancel ID`.',
  not_ended:
    'Wait for the outcome with `ksi logs -f ID`, or cancel the task with `ksi cancel ID`. Then run this again.',
  not_retryable: 'The command of the task is deleted or not valid. Start a new task with `ksi spawn`.',
  revision_mismatch: 'Read it again, and repeat the command with the new --revision if it still applies.',
  conflict: 'Read the object again, for example with `ksi task ID`, and repeat the command if it still applies.',
  idempotency_mismatch: 'Use another --idempotency-key. Repeat a key only with the same prompt and options.',
  request_in_progress: 'Repeat the command in a few seconds. The earlier request is still in progress.',
  rate_limited: 'Retry later.',
  budget_exceeded: 'See the costs with `ksi usage`. The operator sets budgets in KSI_BUDGETS.',
  no_suitable_agent: 'Name an agent, or register one. `ksi agents --capability NAME` lists agents with a capability.',
  no_available_agent:
    'Name one of the agents: it gets the message when it is available. `ksi agents` shows which agents are available.',
  exchange_limit:
    'See its tasks and their cost with `ksi tasks --exchange MESSAGE`. Send a new message to start another exchange.',
  already_answered: 'List the pending approvals with `ksi approvals`.',
  session_exists: 'Delete it first with `ksi delete session`, or import under another name: --as NAME.',
  conversation_ended: 'Read it with `ksi conversations transcript ID`, or start another one with `ksi orchestrate`.',
  identity_exists: 'Change the existing identity, or remove it first.',
  context_missing: 'Set the named keys. `ksi compositions show NAME` describes each key.',
  composition_invalid:
    'Ask the operator to correct the named file in KSI_PROMPTS. `ksi compositions validate NAME` lists all faults.',
  disk_full: 'Free space on that disk. `ksi doctor` shows how full it is.',
  queue_full: 'Retry later. `ksi workers` lists the workers. Start more with `make up WORKERS=…`.',
  internal: 'Find the request in the log of the API with `ksi logs api-1`, and please report it.',
  broker_unavailable: 'Nothing was started. See `ksi status` and `ksi doctor`, and repeat the command.',
  worker_unreachable:
    'Repeat the command. Another worker replaces a lost one when its lease expires; `ksi workers` lists them. `ksi cancel ID` needs no worker.',
  schema_unchecked: 'Repeat the command. If the API is not busy, make the schema simpler.',
  shutting_down: 'Repeat the command. `ksi status` shows whether the cluster is still running.',
};

/** What happened, and what to do next with `ksi`. */
export function adviceOn({ code, message, retryAfter, status, problem }: KsiError): string {
  const step = isKnown(code) ? NEXT_STEPS[code] : undefined;
  const advice = step === undefined || !isKnown(code) ? message : `${withoutNext(message, code)} ${step}`;
  const when = retryAfter === undefined ? '' : ` (in ${retryAfter} s)`;
  const request = status >= 500 && problem?.request_id !== undefined ? ` (request ${problem.request_id})` : '';
  return `${advice}${when}${request}`;
}

const isKnown = (code: string): code is ApiErrorCode => Object.hasOwn(API_ERRORS, code);

/** Keeps both texts if the message comes from an API of another version, whose next step differs. */
function withoutNext(message: string, code: ApiErrorCode): string {
  const { next } = API_ERRORS[code];
  return message.endsWith(next) ? message.slice(0, -next.length).trimEnd() : message;
}
