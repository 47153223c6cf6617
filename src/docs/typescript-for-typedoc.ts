import type { ResolveHook } from 'node:module';

/** typedoc needs the compiler's own interface, which TypeScript 7 has no more: it gets that of TypeScript 6. */
export const resolve: ResolveHook = (specifier, context, next) =>
  next(specifier === 'typescript' ? '@typescript/typescript6' : specifier, context);
