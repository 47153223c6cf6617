import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { reportWarnings } from './fixtures/warnings.js';

/**
 * `npm test [-- PATTERN…]`: runs the built tests under c8 and fails also when one of them leaves a process behind, or when
 * Node warns of something in any of their processes.
 * PATTERN is part of a test file's path. Coverage goes to coverage/, so that the run ends in the test runner's summary.
 */
const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');
/** A safety limit for one test file, not a measure of speed. */
const FILE_TIMEOUT_MS = 240_000;
const CONCURRENCY = 2;

const patterns = process.argv.slice(2);
const files = readdirSync(HERE, { recursive: true, encoding: 'utf8' })
  .filter(
    (file) =>
      file.endsWith('.test.js') && (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))),
  )
  .toSorted()
  .map((file) => relative(ROOT, join(HERE, file)));

if (files.length === 0) {
  console.error(`No test file matches ${patterns.join(' ')}. Build first: npm run build`);
  process.exit(1);
}

const marker = `KSI_TEST_RUN=${randomUUID()}`;
const [name = '', value = ''] = marker.split('=');
const c8 = [
  join(ROOT, 'node_modules', 'c8', 'bin', 'c8.js'),
  '--reporter=lcovonly',
  '--reporter=json-summary',
  '--reporter=html',
  '--exclude=test/**',
  '--exclude=dist/test/**',
];
const runner = [
  process.execPath,
  '--enable-source-maps',
  '--test',
  '--test-reporter=spec',
  `--test-concurrency=${CONCURRENCY}`,
  `--test-timeout=${FILE_TIMEOUT_MS}`,
];
const reports = mkdtempSync(join(tmpdir(), 'ksi-test-run-'));
const warnings = join(reports, 'warnings');
const options = `${process.env['NODE_OPTIONS'] ?? ''} --import=${reportWarnings(warnings)}`;
const child = spawn(process.execPath, [...c8, ...runner, ...files], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, NODE_OPTIONS: options, [name]: value },
});
child.on('exit', (code, signal) => {
  const left = processesTagged(marker);
  for (const { pid, command } of left) {
    console.error(`Left behind by a test: process ${pid}: ${command}`);
    process.kill(pid, 'SIGKILL');
  }
  const warned = safely(() => readFileSync(warnings, 'utf8')) ?? '';
  if (warned !== '') console.error(`Node warned of something that is to be mended:\n${warned}`);
  rmSync(reports, { recursive: true, force: true });
  process.exitCode = left.length > 0 || warned !== '' || signal !== null ? 1 : (code ?? 1);
});

/** The processes that inherited `marker` (Linux; elsewhere none are found). */
function processesTagged(environment: string): { pid: number; command: string }[] {
  const found = [];
  for (const entry of safely(() => readdirSync('/proc')) ?? []) {
    if (!/^\d+$/.test(entry)) continue;
    const environ = safely(() => readFileSync(`/proc/${entry}/environ`, 'utf8'));
    if (environ?.split('\0').includes(environment) !== true) continue;
    found.push({
      pid: Number(entry),
      command: (safely(() => readFileSync(`/proc/${entry}/cmdline`, 'utf8')) ?? '').replaceAll('\0', ' '),
    });
  }
  return found;
}

/** Processes end while we look at them. */
function safely<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
