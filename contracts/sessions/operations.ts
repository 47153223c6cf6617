import { Type } from 'typebox';
import { operations, type Statements } from '../wire/operation.js';
import {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionParams,
  SessionsQuery,
  TranscriptQuery,
} from './sessions.js';

export const SESSION_OPERATIONS = operations('Sessions', {
  sessions: {
    method: 'GET',
    path: '/sessions',
    summary: 'List sessions, those with the newest tasks first',
    scope: 'read',
    query: SessionsQuery,
    answers: { 200: SessionPage },
  },
  session: {
    method: 'GET',
    path: '/sessions/:id',
    summary: 'Get a session, with the number and usage of its tasks',
    scope: 'read',
    params: SessionParams,
    answers: { 200: Session },
  },
  session_transcript: {
    method: 'GET',
    path: '/sessions/:id/transcript',
    summary: 'Read what was said in a session',
    description: 'Lines of JSON as Claude Code keeps them (`application/x-ndjson`), or Markdown.',
    scope: 'read',
    params: SessionParams,
    query: TranscriptQuery,
    answers: { 200: Type.String() },
    text: { jsonl: 'application/x-ndjson', markdown: 'text/markdown; charset=utf-8' },
  },
  session_export: {
    method: 'GET',
    path: '/sessions/:id/export',
    summary: 'Export a whole session, subagents included, to keep or to import elsewhere',
    scope: 'read',
    params: SessionParams,
    answers: { 200: SessionExport },
  },
  session_import: {
    method: 'POST',
    path: '/sessions/import',
    summary: 'Import an exported session',
    description: 'The session becomes yours. 409 if a session of that id or name exists.',
    scope: 'spawn',
    body: SessionExport,
    answers: { 201: ImportAnswer },
    location: '/sessions/:session_id',
    audit: { target: 'session_id' },
    repeatable: 'keyed',
  },
} as const satisfies Statements);
