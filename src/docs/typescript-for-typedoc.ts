import type { ResolveHook } from 'node:module';

/** Gives typedoc TypeScript 6, because TypeScript 7 no longer has the compiler API. */
export const resolve: ResolveHook = (specifier, context, next) =>
  next(specifier === 'typescript' ? '@typescript/typescript6' : specifier, context);
