import { Type, type Static } from 'typebox';

/** What stands in KSI_AUDIT, on `ksi.audit.<owner>.<verb>`: who asked for which change, and what came of it. */
export const AuditEntry = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  id: Type.String(),
  at: Type.String({ format: 'date-time' }),
  owner: Type.String({ description: 'Of the token that asked.' }),
  token_id: Type.String(),
  verb: Type.String({ description: '`spawn`, `cancel`, `retry`, `token_create` …' }),
  target: Type.Optional(Type.String({ description: 'The id of what was made or changed.' })),
  result: Type.String({ description: '`ok`, or the code of the error.' }),
  over: Type.Enum(['http', 'nats', 'ws', 'agent', 'rule'], {
    description:
      '`rule`: a rule of the owner answered an approval, or an answer made a rule (`approval_rule_create`), as `rule_id` and `rule` say. `agent`: a managed agent did it with its agent tools, as `agent_id` and `task_id` say.',
  }),
  agent_id: Type.Optional(Type.String()),
  task_id: Type.Optional(Type.String()),
  rule_id: Type.Optional(Type.String()),
  rule: Type.Optional(Type.String()),
  address: Type.Optional(Type.String({ description: 'Where the request came from.' })),
  request_id: Type.Optional(Type.String()),
});
export type AuditEntry = Static<typeof AuditEntry>;
