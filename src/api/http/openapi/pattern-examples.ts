import { RATE_PATTERN, TICKET_PATTERN, TOKEN_ID_PATTERN } from '../../../../contracts/access/tokens.js';
import { AGENT_PATTERN } from '../../../../contracts/agents/agents.js';
import { SHARED_KEY_PATTERN } from '../../../../contracts/agents/shared.js';
import { PARTICIPANT_NAME_PATTERN } from '../../../../contracts/conversations/conversations.js';
import { PROMPT_NAME_PATTERN } from '../../../../contracts/prompts/compositions.js';
import { COMMIT_PATTERN, FILE_PATH_PATTERN } from '../../../../contracts/sessions/files.js';
import { APPROVAL_ID_PATTERN } from '../../../../contracts/tasks/approvals.js';
import { IDEMPOTENCY_KEY_PATTERN } from '../../../../contracts/tasks/idempotency.js';
import { TOOL_RULE_PATTERN } from '../../../../contracts/tasks/tool-policy.js';
import { WORKSPACE_PATTERN } from '../../../../contracts/tasks/workspace.js';
import { METADATA_QUERY_PATTERN } from '../../../../contracts/wire/metadata.js';
import { NAME_PATTERN, QUEUE_PATTERN, UUID_PATTERN } from '../../../../contracts/wire/names.js';

const UUID = '0199f2a4-8c1e-7d3b-9b52-4f1f6f0c2a11';

/** An example value for each pattern in the API's schemas. Queues, owners, message types and MCP servers share a pattern. */
export const PATTERN_EXAMPLES: Readonly<Record<string, string>> = {
  [UUID_PATTERN]: UUID,
  [NAME_PATTERN]: 'my-session',
  [QUEUE_PATTERN]: 'example',
  [AGENT_PATTERN]: 'reviewer',
  [PARTICIPANT_NAME_PATTERN]: 'ann',
  [PROMPT_NAME_PATTERN]: 'code-review',
  [APPROVAL_ID_PATTERN]: `${UUID}.1.1`,
  [TOOL_RULE_PATTERN]: 'Bash(git log:*)',
  [WORKSPACE_PATTERN]: 'website/docs',
  [FILE_PATH_PATTERN]: 'reports/summary.md',
  [COMMIT_PATTERN]: 'main',
  [TOKEN_ID_PATTERN]: '3f9a1c5e7b2d4860',
  [TICKET_PATTERN]: 'q3VhZ8yq0S1rJm4cT7nB2kXw9LfP6dGeUoIaHsYtRzM',
  [RATE_PATTERN]: '600/minute',
  [SHARED_KEY_PATTERN]: 'plan',
  [METADATA_QUERY_PATTERN]: 'ticket:4711',
  [IDEMPOTENCY_KEY_PATTERN]: 'order-4711',
};
