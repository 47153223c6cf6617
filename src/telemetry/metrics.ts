import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Usage } from '../../contracts/access/usage.js';

/** The Prometheus metrics of an API. */
export class Metrics {
  readonly registry = new Registry();
  /** Metrics with owners' names, for tokens that see all owners. */
  readonly #ofOwners = new Registry();
  readonly spawns = new Counter({
    name: 'ksi_spawn_requests_total',
    help: 'Spawn requests by result: accepted, replayed, or the code of the error.',
    labelNames: ['result'],
    registers: [this.registry],
  });
  readonly durations = new Histogram({
    name: 'ksi_spawn_duration_seconds',
    help: 'Time from the acceptance of a task to its outcome, by outcome. Every API counts every task.',
    labelNames: ['status'],
    buckets: [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600],
    registers: [this.registry],
  });
  readonly events = new Counter({
    name: 'ksi_events_total',
    help: 'Events of the stream, by type.',
    labelNames: ['type'],
    registers: [this.registry],
  });
  readonly cost = new Counter({
    name: 'ksi_cost_usd_total',
    help: 'Cost of tasks in US dollars, as Claude reports it. Every API counts every task.',
    labelNames: ['owner'],
    registers: [this.#ofOwners],
  });
  readonly tokens = new Counter({
    name: 'ksi_tokens_total',
    help: 'Tokens that tasks used, by kind. Every API counts every task.',
    labelNames: ['owner', 'kind'],
    registers: [this.#ofOwners],
  });
  readonly connections = new Gauge({
    name: 'ksi_active_connections',
    help: 'WebSocket and SSE clients of this API.',
    registers: [this.registry],
  });
  readonly queueLength: Gauge;
  #active = 0;

  /** @param queueLength the last known number of tasks in the command stream */
  constructor(queueLength: () => number) {
    collectDefaultMetrics({ register: this.registry });
    this.queueLength = new Gauge({
      name: 'ksi_queue_length',
      help: 'Tasks in the command stream when this API last checked.',
      registers: [this.registry],
      collect() {
        this.set(queueLength());
      },
    });
  }

  /** The metrics in Prometheus' text format. @param allOwners includes metrics with owners' names */
  text(allOwners: boolean): Promise<string> {
    return (allOwners ? Registry.merge([this.registry, this.#ofOwners]) : this.registry).metrics();
  }

  get activeConnections(): number {
    return this.#active;
  }

  /** Counts the usage of an attempt. */
  took(owner: string, usage: Usage): void {
    this.cost.inc({ owner }, usage.cost_usd);
    this.tokens.inc({ owner, kind: 'input' }, usage.input_tokens);
    this.tokens.inc({ owner, kind: 'output' }, usage.output_tokens);
    this.tokens.inc({ owner, kind: 'cache_read' }, usage.cache_read_tokens);
    this.tokens.inc({ owner, kind: 'cache_write' }, usage.cache_write_tokens);
  }

  /** Counts a client. @returns a function to call once, when the client has gone */
  connected(): () => void {
    this.#count(1);
    let counted = true;
    return () => {
      if (counted) this.#count(-1);
      counted = false;
    };
  }

  #count(change: number): void {
    this.#active += change;
    this.connections.set(this.#active);
  }
}
