import type { FastifyInstance } from 'fastify';
import { OPERATIONS, type Operation, type OperationName } from '../../../contracts/api/operations.js';

const NAMES = new Map(
  (Object.entries(OPERATIONS) as [OperationName, Operation][]).map(([name, { method, path }]) => [
    `${method} ${path}`,
    name,
  ]),
);

/** Has the OpenAPI document name each operation as NATS does, and say the scope that it needs. To be called before there are routes. */
export function documentOperations(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { method, url, schema, config } = route;
    if (schema === undefined || Array.isArray(method)) return;
    const operationId = NAMES.get(`${method} ${url}`);
    route.schema = {
      ...schema,
      ...(operationId === undefined ? {} : { operationId }),
      ...(config?.scope === undefined ? {} : { security: [{ token: [config.scope] }] }),
      ...(config?.audit === undefined ? {} : { 'x-ksi-audit': config.audit }),
    };
  });
}
