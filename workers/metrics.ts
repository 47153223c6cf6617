import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { TaskEnd } from './attempt/run-task.js';

/** The values of a worker that the metrics show. */
export interface Observed {
  readonly slots: number;
  readonly running: number;
  readonly warm: number;
  readonly outOfService: number;
  readonly left: number;
  readonly shortages: number;
  readonly shortage: string | undefined;
  readonly ready: boolean;
}

export interface WorkerMetrics {
  readonly registry: Registry;
  countEnd(end: TaskEnd): void;
}

export function workerMetrics(worker: () => Observed | undefined): WorkerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: (observed: Observed) => number): void =>
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          const observed = worker();
          this.set(observed === undefined ? 0 : read(observed));
        },
      }),
    );
  gauge('ksi_worker_running', 'Tasks running now.', ({ running }) => running);
  gauge('ksi_worker_slots', 'Tasks that can run at the same time.', ({ slots }) => slots);
  gauge('ksi_worker_warm', 'Warm Claude processes that wait for tasks of new sessions.', ({ warm }) => warm);
  gauge(
    'ksi_worker_slots_out_of_service',
    'Slots out of service because files of their last run could not be removed.',
    ({ outOfService }) => outOfService,
  );
  gauge('ksi_worker_left', 'Files and folders that could not be removed. The worker retries.', ({ left }) => left);
  gauge(
    'ksi_worker_shortages',
    'Attempts that ended because the host lacked a resource.',
    ({ shortages }) => shortages,
  );
  gauge(
    'ksi_worker_short',
    '1 while the host lacks a resource and the worker takes tasks more slowly, otherwise 0.',
    ({ shortage }) => (shortage === undefined ? 0 : 1),
  );
  const attempts = new Counter({
    name: 'ksi_worker_attempts_total',
    help: 'Runs delivered to the worker, by how they ended on this worker.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  return { registry, countEnd: (outcome) => attempts.inc({ outcome }) };
}

/** Serves `/livez`, `/readyz` and `/metrics` of a worker. Resolves when the server listens. */
export async function serveProbes(
  { registry }: WorkerMetrics,
  worker: () => Observed | undefined,
  host: string,
  port: number,
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET') return answer(response, 405, 'use GET\n');
    switch (request.url) {
      case '/livez':
        return answer(response, 200, 'ok\n');
      case '/readyz':
        return worker()?.ready === true ? answer(response, 200, 'ok\n') : answer(response, 503, 'not ready\n');
      case '/metrics':
        return void registry.metrics().then(
          (text) => answer(response, 200, text, registry.contentType),
          (error: unknown) => answer(response, 500, `${String(error)}\n`),
        );
      default:
        return answer(response, 404, 'use /livez, /readyz or /metrics\n');
    }
  });
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type }).end(body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
