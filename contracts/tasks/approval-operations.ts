import { NoContent, operations, type Statements } from '../wire/operation.js';
import { ApprovalRulePage, ApprovalRuleParams, ApprovalRulesQuery } from './approval-rules.js';
import { ApprovalAnswer, ApprovalPage, ApprovalParams, ApprovalResolved, ApprovalsQuery } from './approvals.js';

export const APPROVAL_OPERATIONS = operations('Approvals', {
  approvals: {
    method: 'GET',
    path: '/approvals',
    summary: 'List pending approvals',
    description: 'Tasks that were spawned with `approvals: true` request approvals. Oldest first.',
    scope: 'read',
    query: ApprovalsQuery,
    answers: { 200: ApprovalPage },
  },
  approval_rules: {
    method: 'GET',
    path: '/approvals/rules',
    summary: 'List the rules that allow tool calls without an approval',
    description: 'Your rules, oldest first. An approval that was answered with `always` creates one.',
    scope: 'read',
    query: ApprovalRulesQuery,
    answers: { 200: ApprovalRulePage },
  },
  approval_rule_delete: {
    method: 'DELETE',
    path: '/approvals/rules/:id',
    summary: 'Revoke a rule',
    description: 'Tool calls that the rule allowed need an approval again.',
    scope: 'approve',
    params: ApprovalRuleParams,
    answers: { 204: NoContent },
    audit: { target: 'id' },
  },
  approve: {
    method: 'POST',
    path: '/approvals/:id',
    summary: 'Allow or refuse a tool call',
    description:
      'The first answer counts. A later answer gets 409, and so does an answer to an approval whose attempt has ended. `input` replaces the tool input that Claude wrote.',
    scope: 'approve',
    params: ApprovalParams,
    body: ApprovalAnswer,
    answers: { 200: ApprovalResolved },
    audit: { target: 'id' },
  },
} as const satisfies Statements);
