import { NoContent, operations, type Statements } from '../wire/operation.js';
import {
  SharedDelete,
  SharedEntry,
  SharedListQuery,
  SharedPage,
  SharedParams,
  SharedQuery,
  SharedSet,
  SharedValue,
} from './shared.js';

export const SHARED_OPERATIONS = operations('Shared state', {
  shared_list: {
    method: 'GET',
    path: '/shared',
    summary: 'List the keys, without their values',
    scope: 'read',
    query: SharedListQuery,
    answers: { 200: SharedPage },
  },
  shared_get: {
    method: 'GET',
    path: '/shared/:key',
    summary: 'Get a value',
    description:
      'The revision is the `ETag`. Changes are published as events: `GET /events?subject=ksi.events.shared.<owner>.<key>` (docs/prompts.md).',
    scope: 'read',
    params: SharedParams,
    query: SharedQuery,
    answers: { 200: SharedValue },
    etag: true,
  },
  shared_set: {
    method: 'PUT',
    path: '/shared/:key',
    summary: 'Set a value',
    description:
      'With `revision` or `If-Match: "REVISION"`, only if the value has this revision. With `revision` 0 or `If-None-Match: *`, only if there is no value. Otherwise 412 `revision_mismatch`.',
    scope: 'agents',
    params: SharedParams,
    body: SharedSet,
    answers: { 200: SharedEntry },
    etag: true,
    audit: { target: 'key' },
  },
  shared_delete: {
    method: 'DELETE',
    path: '/shared/:key',
    summary: 'Delete a value',
    scope: 'agents',
    params: SharedParams,
    query: SharedDelete,
    answers: { 204: NoContent },
    etag: true,
    audit: { target: 'key' },
  },
} as const satisfies Statements);
