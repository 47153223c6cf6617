import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { benchOptions, type BenchOptions } from './options.js';
import { renderTable, type Result } from './result.js';
import { accept } from './scenarios/accept.js';
import { agents } from './scenarios/agents.js';
import { backlog } from './scenarios/backlog.js';
import { deletion } from './scenarios/deletion.js';
import { fanOut } from './scenarios/fan-out.js';
import { handOver } from './scenarios/hand-over.js';
import { latency } from './scenarios/latency.js';
import { memory } from './scenarios/memory.js';
import { resume } from './scenarios/resume.js';
import { throughput } from './scenarios/throughput.js';
import { warm } from './scenarios/warm.js';

/** `make bench`: every figure beside its baseline from the same run on the same machine; a table to stdout and JSON to bench-results/. */
const SCENARIOS: Readonly<Record<string, (options: BenchOptions) => Promise<Result[]>>> = {
  accept,
  latency,
  'hand-over': handOver,
  throughput,
  resume,
  warm,
  'fan-out': fanOut,
  memory,
  agents,
  backlog,
  deletion,
};

const options = benchOptions(process.argv.slice(2));
const unknown = options.only?.find((name) => !Object.hasOwn(SCENARIOS, name));
if (unknown !== undefined) {
  process.stderr.write(`There is no scenario ${unknown}; there are ${Object.keys(SCENARIOS).join(', ')}.\n`);
  process.exit(2);
}
const results: Result[] = [];
for (const [name, scenario] of Object.entries(SCENARIOS)) {
  if (options.only?.includes(name) === false) continue;
  process.stderr.write(`${name} …\n`);
  results.push(...(await scenario(options)));
}
process.stdout.write(`${renderTable(results)}\n`);
await mkdir(options.out, { recursive: true });
const file = join(options.out, `${new Date().toISOString().replaceAll(':', '-')}.json`);
const machine = { cpus: cpus().length, model: cpus()[0]?.model, memory: totalmem(), node: process.version };
await writeFile(file, `${JSON.stringify({ at: new Date().toISOString(), machine, options, results }, null, 2)}\n`);
process.stderr.write(`written to ${file}\n`);
