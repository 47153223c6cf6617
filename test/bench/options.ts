import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Length of each load, in seconds. */
  seconds: number;
  /** Clients at once in the accept scenario. */
  connections: readonly number[];
  /** Tasks run one after the other in the latency scenario. */
  latencyTasks: number;
  /** Tasks run in the throughput scenario. */
  throughputTasks: number;
  /** Tasks that stand in the queue in the backlog scenario. */
  backlogTasks: number;
  /** Ended tasks that the deletion scenario deletes. */
  deletedTasks: number;
  /** Agents that are registered and idle, and managed ones that converse at once. */
  registeredAgents: number;
  conversingAgents: number;
  /** Resumes of a large session, with the real claude. */
  resumes: number;
  frames: number;
  clients: number;
  /** Names of scenarios; undefined: all. */
  only: readonly string[] | undefined;
  out: string;
}

/** `--smoke` is the short run that keeps the benchmark from rotting; its figures mean nothing. */
export function benchOptions(argv: string[]): BenchOptions {
  const { values } = parseArgs({
    args: argv,
    options: {
      smoke: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      tasks: { type: 'string' },
      only: { type: 'string' },
      out: { type: 'string', default: 'bench-results' },
    },
  });
  const full = {
    seconds: 8,
    connections: [1, 64, 256],
    latencyTasks: 200,
    throughputTasks: 400,
    backlogTasks: 200_000,
    deletedTasks: 5_000,
    registeredAgents: 10_000,
    conversingAgents: 200,
    resumes: 15,
    frames: 5_000,
    clients: 100,
  };
  const smoke = {
    seconds: 0.5,
    connections: [4],
    latencyTasks: 3,
    throughputTasks: 6,
    backlogTasks: 100,
    deletedTasks: 20,
    registeredAgents: 20,
    conversingAgents: 4,
    resumes: 1,
    frames: 200,
    clients: 5,
  };
  const chosen = values.smoke ? smoke : full;
  return {
    ...chosen,
    seconds: Number(values.seconds ?? chosen.seconds),
    deletedTasks: Number(values.tasks ?? chosen.deletedTasks),
    only: values.only?.split(','),
    out: values.out,
  };
}
