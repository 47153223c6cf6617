import { Type, type Static } from 'typebox';

/**
 * An entry in KSI_AUDIT: who requested which change, and its result. A message on `ksi.audit.<owner>.<verb>` has one entry per line: those that an API
 * recorded within 20 ms (ADR 63).
 */
export const AuditEntry = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  id: Type.String(),
  at: Type.String({ format: 'date-time' }),
  owner: Type.String({ description: "The owner of the request's token." }),
  token_id: Type.String(),
  verb: Type.String({ description: '`spawn`, `cancel`, `retry`, `token_create` …' }),
  target: Type.Optional(Type.String({ description: 'The id of the resource that was created or changed.' })),
  result: Type.String({ description: '`ok`, or the code of the error.' }),
  over: Type.Enum(['http', 'nats', 'ws', 'agent', 'rule'], {
    description:
      '`rule`: an approval rule (`rule_id`, `rule`) answered an approval, or an answer created it (`approval_rule_create`). `agent`: a managed agent (`agent_id`, `task_id`) called an agent tool.',
  }),
  agent_id: Type.Optional(Type.String()),
  task_id: Type.Optional(Type.String()),
  rule_id: Type.Optional(Type.String()),
  rule: Type.Optional(Type.String()),
  address: Type.Optional(Type.String({ description: "The client's address." })),
  request_id: Type.Optional(Type.String()),
});
export type AuditEntry = Static<typeof AuditEntry>;
