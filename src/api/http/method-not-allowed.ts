import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../errors/api-error.js';

/**
 * Collects the methods of each route that is added after this call.
 * @returns a function that makes all other methods of these routes answer 405 with `Allow`. Call it after the last route.
 */
export function methodNotAllowed(app: FastifyInstance): () => void {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const supported = methods.get(url) ?? new Set();
    methods.set(url, supported);
    for (const each of [method].flat()) supported.add(each);
  });
  return () => {
    for (const [url, supported] of methods) {
      const allowed = [...supported].toSorted().join(', ');
      const others = app.supportedMethods.filter((method) => !supported.has(method));
      app.route({
        url,
        method: others,
        config: { anyScope: true },
        // Refuse before Fastify reads the body, or a fault of the body would be reported instead.
        onRequest: async ({ method }, reply) => {
          reply.header('allow', allowed);
          throw new ApiError('method_not_allowed', `${url} does not support ${method}`);
        },
        handler: () => undefined,
      });
    }
  };
}
