import type { FastifyInstance } from 'fastify';
import { ApprovalRuleList, ApprovalRuleParams } from '../../../../contracts/tasks/approval-rules.js';
import {
  ApprovalAnswer,
  ApprovalList,
  ApprovalParams,
  ApprovalResolved,
} from '../../../../contracts/tasks/approvals.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

export function approvalRoutes(app: FastifyInstance, { approvals, approvalRules }: ApiContext): void {
  app.get(
    '/approvals',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Approvals'],
        summary: 'What Claude wants to be allowed now',
        description: 'Of tasks that were spawned with `approvals: true`; those asked first come first.',
        response: { 200: ApprovalList, '4xx': Problem, '5xx': Problem },
      },
    },
    (request) => ({ approvals: approvals.list(principalOf(request)) }),
  );
  app.get(
    '/approvals/rules',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Approvals'],
        summary: 'What is allowed without asking again',
        description: 'Your rules, each made by an answer with `always`; oldest first.',
        response: { 200: ApprovalRuleList, '4xx': Problem, '5xx': Problem },
      },
    },
    async (request) => ({ rules: await approvalRules.list(principalOf(request)) }),
  );
  app.delete<{ Params: ApprovalRuleParams }>(
    '/approvals/rules/:id',
    {
      config: { scope: 'approve', audit: 'approval_rule_delete' },
      schema: {
        tags: ['Approvals'],
        summary: 'Revoke a rule',
        description: 'What it allowed is asked about from now on.',
        params: ApprovalRuleParams,
        response: { '4xx': Problem, '5xx': Problem },
      },
    },
    async (request, reply) => {
      await approvalRules.remove(request.params.id, principalOf(request));
      return reply.code(204).send();
    },
  );
  app.post<{ Params: ApprovalParams; Body: ApprovalAnswer }>(
    '/approvals/:id',
    {
      config: { scope: 'approve', audit: 'approve' },
      schema: {
        tags: ['Approvals'],
        summary: 'Allow or refuse what Claude asked for',
        description:
          'The first answer holds: 409 for others, and for one that ended with its attempt. `input` runs the tool with another input than Claude wrote.',
        params: ApprovalParams,
        body: ApprovalAnswer,
        response: { 200: ApprovalResolved, '4xx': Problem, '5xx': Problem },
      },
    },
    (request) => approvals.answer(request.params.id, request.body, principalOf(request)),
  );
}
