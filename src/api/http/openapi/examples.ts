import type { AnswerOf, OperationName, RequestOf } from '../../../../contracts/api/operations.js';

const TASK = '0199f2a4-8c1e-7d3b-9b52-4f1f6f0c2a11';
const SESSION = '0199f2a4-8c1f-7b20-8d6e-2c7f0a9b4d33';
const CONVERSATION = '0199f2b7-41d0-7c55-a1f2-6e8d3b0c9f20';
const MESSAGE = '0199f2b0-6a3e-7f18-b4c9-0d5e7a2b1c84';
const SINCE = 'k3Vx9a-4711';
const CREATED = '2026-03-02T09:15:00.000Z';

/** The example of an operation: a request body, and an answer with the last of its success statuses. */
interface Example<N extends OperationName> {
  readonly body?: Partial<RequestOf<N>>;
  readonly answer: NonNullable<AnswerOf<N>>;
}

/** The examples in the OpenAPI document. A test checks them against the schemas. */
export const EXAMPLES: { readonly [N in OperationName]?: Example<N> } = {
  spawn: {
    body: {
      prompt: 'Find out why the test suite fails and fix it.',
      session_id: 'fix-the-tests',
      workspace: 'website',
      allowed_tools: ['Read', 'Edit', 'Bash(npm test:*)'],
      max_budget_usd: 2,
      metadata: { ticket: '4711' },
    },
    answer: {
      task_id: TASK,
      session_id: SESSION,
      session_name: 'fix-the-tests',
      status: 'queued',
      message: 'The task is stored and waits for a worker.',
      since: SINCE,
    },
  },
  tasks: {
    answer: {
      items: [
        {
          task_id: TASK,
          session_id: SESSION,
          session_name: 'fix-the-tests',
          owner: 'ann',
          status: 'running',
          queue: 'default',
          priority: 'normal',
          prompt_preview: 'Find out why the test suite fails and fix it.',
          workspace: 'website',
          metadata: { ticket: '4711' },
          created_at: CREATED,
          started_at: '2026-03-02T09:15:01.250Z',
          attempt: 1,
          worker_id: 'w-1',
        },
      ],
    },
  },
  approve: {
    body: { decision: 'allow' },
    answer: { approval_id: `${TASK}.1.1`, task_id: TASK, decision: 'allow' },
  },
  agent_register: {
    body: {
      agent_id: 'reviewer',
      kind: 'managed',
      role: 'reviewer',
      capabilities: ['code-review'],
      options: { model: 'sonnet', append_system_prompt: 'You review changes. Be brief.' },
    },
    answer: { agent_id: 'reviewer', status: 'registered', session_id: SESSION, revision: 1 },
  },
  send: {
    body: { to: 'reviewer', content: 'Please review the last commit of website.' },
    answer: { message_id: MESSAGE, status: 'delivered', to: 'reviewer', copies: [], since: SINCE },
  },
  conversation_create: {
    body: {
      topic: 'Should the website become a single-page application?',
      mode: 'debate',
      participants: [{ name: 'pro' }, { name: 'con' }],
      max_turns: 8,
      budget_usd: 1,
    },
    answer: {
      conversation_id: CONVERSATION,
      owner: 'ann',
      topic: 'Should the website become a single-page application?',
      mode: 'debate',
      status: 'running',
      participants: [
        { name: 'pro', agent_id: 'c-0199f2b7-1', part: 'for', turns: 0, session_id: SESSION },
        { name: 'con', agent_id: 'c-0199f2b7-2', part: 'against', turns: 0, session_id: TASK },
      ],
      next: 'pro',
      turns: 0,
      lines: 0,
      cost_usd: 0,
      max_turns: 8,
      max_duration_s: 3_600,
      turn_timeout_s: 900,
      budget_usd: 1,
      keep: false,
      revision: 12,
      created_at: CREATED,
      ends_by: '2026-03-02T10:15:00.000Z',
      since: SINCE,
    },
  },
  token_create: {
    body: { owner: 'ann', scopes: ['spawn', 'read'], description: 'CI of the website', expires_in_s: 2_592_000 },
    answer: {
      token_id: '3f9a1c5e7b2d4860',
      token: 'ksi_3f9a1c5e7b2d4860_q3VhZ8yq0S1rJm4cT7nB2kXw9LfP6dGeUoIaHsYtRzM',
      owner: 'ann',
      scopes: ['spawn', 'read'],
      all_owners: false,
      description: 'CI of the website',
      created_at: CREATED,
      created_by: 'ann',
      expires_at: '2026-04-01T09:15:00.000Z',
    },
  },
};
