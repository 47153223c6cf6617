import { usageOf } from '../../access/usage.js';
import type { Handlers } from './handler.js';

export const sessionHandlers = {
  sessions: (query, { principal, context }) => context.sessions.page(query, principal),
  session: ({ id }, { principal, context }) => context.sessions.one(id, principal),
  session_transcript: ({ id, format = 'jsonl' }, { principal, context }) =>
    context.sessions.transcript(id, format, principal),
  session_export: ({ id }, { principal, context }) => context.sessions.export(id, principal),
  session_import: (exported, { principal, context }) =>
    context.sessions.import(exported, principal, context.broker.clock.now()),
  session_delete: ({ id }, { principal, context }) => context.deleter.session(id, principal),
  usage: (query, { principal, context }) => usageOf(context.tail.model, query, principal, context.broker.clock.now()),
} satisfies Partial<Handlers>;
