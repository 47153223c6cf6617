import { NoContent, operations, type Statements } from '../wire/operation.js';
import { ExchangeParams, ExchangeView } from './exchanges.js';
import { TicketCreated, TokenCreated, TokensQuery, TokenPage, TokenParams, TokenRequest, TokenView } from './tokens.js';
import { UsagePage, UsageQuery } from './usage.js';

export const ACCESS_OPERATIONS = operations('Access', {
  tokens: {
    method: 'GET',
    path: '/tokens',
    summary: 'List tokens, without their secrets',
    scope: 'admin',
    query: TokensQuery,
    answers: { 200: TokenPage },
  },
  token_create: {
    method: 'POST',
    path: '/tokens',
    summary: 'Create a token',
    description:
      'Only this answer contains the token; KSI keeps its hash. Only a token that sees all owners can create one for another owner, or one that sees all owners.',
    scope: 'admin',
    body: TokenRequest,
    answers: { 201: TokenCreated },
    location: '/tokens/:token_id',
    no_store: true,
    audit: { target: 'token_id' },
    repeatable: 'keyed',
  },
  token: {
    method: 'GET',
    path: '/tokens/:id',
    summary: 'Get a token, without its secret',
    scope: 'admin',
    params: TokenParams,
    answers: { 200: TokenView },
  },
  token_revoke: {
    method: 'DELETE',
    path: '/tokens/:id',
    summary: 'Revoke a token',
    description: 'The token is refused from now on. Its open connections end within 5 s.',
    scope: 'admin',
    params: TokenParams,
    answers: { 204: NoContent },
    audit: { target: 'id' },
  },
  ticket: {
    method: 'POST',
    path: '/tickets',
    summary: 'Create a ticket for one WebSocket or event stream',
    description:
      'For browsers, which cannot send a token with a WebSocket or an EventSource. Within 30 s, connect once to `GET /events?ticket=…` or `GET /tasks/:id/events?ticket=…`.',
    scope: 'read',
    answers: { 200: TicketCreated },
    no_store: true,
    audit: {},
    repeatable: 'always',
  },
  usage: {
    method: 'GET',
    path: '/usage',
    tag: 'Tasks',
    summary: 'Tokens and US dollars, by day, owner, token, session, agent or model',
    description: "From Claude's own figures. A task counts on the day (UTC) on which it ends.",
    scope: 'read',
    query: UsageQuery,
    answers: { 200: UsagePage },
  },
  exchange: {
    method: 'GET',
    path: '/exchanges/:id',
    tag: 'Agents',
    summary: 'Get what one message to an agent has led to so far, its cost and its limits',
    scope: 'read',
    params: ExchangeParams,
    answers: { 200: ExchangeView },
  },
} as const satisfies Statements);
