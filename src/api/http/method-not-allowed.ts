import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../errors/api-error.js';

/**
 * Watches the routes that are added from now on.
 * @returns what answers 405 with `Allow` to all other methods of their addresses; to be called when they are all there.
 */
export function methodNotAllowed(app: FastifyInstance): () => void {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    methods.set(url, known);
    for (const each of [method].flat()) known.add(each);
  });
  return () => {
    for (const [url, known] of methods) {
      const allowed = [...known].toSorted().join(', ');
      const others = app.supportedMethods.filter((method) => !known.has(method));
      app.route({
        url,
        method: others,
        config: { anyScope: true },
        // Before its body is read, which is no reason to refuse it.
        onRequest: async ({ method }, reply) => {
          reply.header('allow', allowed);
          throw new ApiError('method_not_allowed', `${url} does not take ${method}`);
        },
        handler: () => undefined,
      });
    }
  };
}
