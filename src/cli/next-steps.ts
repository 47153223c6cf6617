import { API_ERRORS, type ApiErrorCode } from '../../contracts/wire/errors.js';
import type { KsiError } from '../client/errors.js';

/** What to do next with `ksi`, where API_ERRORS says it in terms of HTTP or to somebody else. */
const NEXT_STEPS: Partial<Record<ApiErrorCode, string>> = {
  invalid_request: 'Correct what is named; see `ksi help COMMAND`.',
  invalid_cursor: 'Give the `cursor` of an event unchanged, or none.',
  unauthorized:
    'Set KSI_TOKEN, or run `ksi` where the cluster’s `.ksi` folder is: `make up` wrote the token to `.ksi/token`.',
  method_not_allowed: 'The API is of another version than this `ksi`: update the older one.',
  not_found: 'Check its name or id: `ksi tasks`, `ksi dead`, `ksi agents`, `ksi profiles` … list what there is.',
  session_not_found: 'Leave out --resume-only to begin it, or check its id: `ksi tasks` lists them.',
  workspace_mismatch: 'Leave out --workspace to continue where the session works, or begin another with --session.',
  task_ended: 'See its outcome with `ksi task ID`, or run it again with `ksi retry ID`.',
  not_running: 'See its state with `ksi task ID`; one that has not begun can be cancelled: `ksi cancel ID`.',
  not_ended: 'Follow it to its outcome with `ksi logs -f ID`, or cancel it with `ksi cancel ID`, then run this again.',
  not_retryable: 'Its command is not kept any more, or is not valid: make a new one with `ksi spawn`.',
  revision_mismatch: 'Read it again, and repeat the command with the new --revision if it still applies.',
  conflict: 'Look at it again, as with `ksi task ID`, and repeat the command if it still applies.',
  idempotency_mismatch: 'Give another --idempotency-key; repeat one only with the very same prompt and options.',
  request_in_progress: 'Repeat the command in a few seconds; the earlier one is still being carried out.',
  rate_limited: 'Try again later.',
  budget_exceeded: 'See what was spent with `ksi usage`; the operator raises it in KSI_BUDGETS.',
  no_suitable_agent: 'Name an agent, or register one: `ksi agents --capability NAME` lists those that have one.',
  no_available_agent: 'Name one of them: it gets the message when it is there. `ksi agents` shows which are.',
  exchange_limit:
    'See its tasks and their cost with `ksi tasks --exchange MESSAGE`; send a new message to begin another exchange.',
  already_answered: 'See what is open now with `ksi approvals`.',
  session_exists: 'Delete it first with `ksi delete session`, or import under another name: --as NAME.',
  conversation_ended: 'Read it with `ksi conversations transcript ID`, or begin another one: `ksi orchestrate`.',
  identity_exists: 'Change the one that is there, or remove it first.',
  context_missing: 'Give the keys that are named; `ksi compositions show NAME` says what each is.',
  composition_invalid:
    'Ask whoever keeps KSI_PROMPTS to correct what is named; `ksi compositions validate NAME` tells all.',
  disk_full: 'Make room on that disk; `ksi doctor` shows how full it is.',
  queue_full: 'Try again later; `ksi workers` shows who works on it. More of them: `make up WORKERS=…`.',
  internal: 'Look for the request in the API’s log: `ksi logs api-1`. Please report it.',
  broker_unavailable: 'Nothing was started. See `ksi status` and `ksi doctor`, and repeat the command.',
  worker_unreachable:
    'Repeat the command: a lost worker is replaced within its lease, `ksi workers` shows them. `ksi cancel ID` needs none.',
  schema_unchecked: 'Repeat the command. If the API is not busy, make the schema simpler.',
  shutting_down: 'Repeat the command; `ksi status` shows whether the cluster goes on.',
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

/** An API of another version may say something else: then both are told. */
function withoutNext(message: string, code: ApiErrorCode): string {
  const { next } = API_ERRORS[code];
  return message.endsWith(next) ? message.slice(0, -next.length).trimEnd() : message;
}
