import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configTable } from './config-table.js';
import { apiErrorTable, taskErrorTable } from './error-tables.js';
import { example } from './examples.js';
import { operationsTable } from './operations-table.js';
import { manPage } from './man-page.js';
import { replaceRegion } from './region.js';

/** Writes the generated parts of the documents; with `--check` it only says, and exits 1, when one is out of date. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const check = process.argv.includes('--check');

const REGIONS = [
  { file: 'README.md', region: 'config', text: configTable },
  { file: 'docs/errors.md', region: 'api-errors', text: apiErrorTable },
  { file: 'docs/errors.md', region: 'task-errors', text: taskErrorTable },
  ...[
    'answer.ts',
    'conversation.ts',
    'failure.ts',
    'approvals.ts',
    'events.ts',
    'lists.ts',
    'browser.html',
    'nats.ts',
  ].map((file) => ({ file: 'docs/sdk.md', region: `example-${file.split('.', 1)[0]}`, text: example(ROOT, file) })),
  { file: 'docs/sdk.md', region: 'operations', text: operationsTable },
] as const;

const FILES = [{ file: 'man/ksi.1', text: manPage }] as const;

for (const { file, region, text } of REGIONS) {
  const before = readFileSync(join(ROOT, file), 'utf8');
  keep(file, `the region "${region}"`, before, replaceRegion(before, region, text()));
}
for (const { file, text } of FILES) {
  const path = join(ROOT, file);
  keep(file, 'it', existsSync(path) ? readFileSync(path, 'utf8') : '', text());
}

function keep(file: string, what: string, before: string, after: string): void {
  if (after === before) return;
  if (check) {
    process.stderr.write(`${file}: ${what} is out of date; run npm run docs\n`);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(join(ROOT, file)), { recursive: true });
    writeFileSync(join(ROOT, file), after);
  }
}
