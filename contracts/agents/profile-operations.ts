import { PromptParams } from '../prompts/compositions.js';
import { NoContent, operations, type Statements } from '../wire/operation.js';
import { PageQuery } from '../wire/page.js';
import { ProfilePage, ProfileRemoval, ProfileSet, ProfileView } from './profiles.js';

export const PROFILE_OPERATIONS = operations('Profiles', {
  profiles: {
    method: 'GET',
    path: '/profiles',
    summary: 'List your profiles and the profiles in files',
    scope: 'read',
    query: PageQuery,
    answers: { 200: ProfilePage },
  },
  profile: {
    method: 'GET',
    path: '/profiles/:name',
    summary: 'Get a profile',
    scope: 'read',
    params: PromptParams,
    answers: { 200: ProfileView },
    etag: true,
  },
  profile_set: {
    method: 'PUT',
    path: '/profiles/:name',
    summary: 'Store a profile',
    description: 'Replaces your profile of this name. Your profile takes precedence over a file of the same name.',
    scope: 'agents',
    params: PromptParams,
    body: ProfileSet,
    answers: { 200: ProfileView },
    etag: true,
    audit: { target: 'name' },
    repeatable: 'always',
  },
  profile_delete: {
    method: 'DELETE',
    path: '/profiles/:name',
    summary: 'Delete one of your profiles',
    description: 'A file of the same name applies again.',
    scope: 'agents',
    params: PromptParams,
    query: ProfileRemoval,
    answers: { 204: NoContent },
    etag: true,
    audit: { target: 'name' },
  },
} as const satisfies Statements);
