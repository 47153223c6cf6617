import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { adrTable } from './adr-table.js';
import { brokenCitations } from './citations.js';
import { clientRoutes } from './client-routes.js';
import { configTable } from './config-table.js';
import { apiErrorTable, taskErrorTable } from './error-tables.js';
import { example } from './examples.js';
import { operationsTable } from './operations-table.js';
import { manPage } from './man-page.js';
import { replaceRegion } from './region.js';

/** Writes the generated parts of the documents. With `--check` it only reports outdated parts. Exits with 1 for outdated parts and broken links. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const check = process.argv.includes('--check');

const REGIONS = [
  { file: 'docs/configuration.md', region: 'config', text: configTable },
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
  { file: 'docs/adr/README.md', region: 'adrs', text: () => adrTable(ROOT) },
] as const;

const FILES = [
  { file: 'man/ksi.1', text: manPage },
  { file: 'src/client/routes.generated.ts', text: clientRoutes },
] as const;

for (const { file, region, text } of REGIONS) {
  const before = readFileSync(join(ROOT, file), 'utf8');
  keep(file, `the region "${region}"`, before, replaceRegion(before, region, text()));
}
for (const { file, text } of FILES) {
  const path = join(ROOT, file);
  keep(file, 'the file', existsSync(path) ? readFileSync(path, 'utf8') : '', await text());
}

for (const broken of brokenCitations(projectFiles())) {
  process.stderr.write(`${broken} does not exist\n`);
  process.exitCode = 1;
}

/** The documents, and the code whose comments cite them. */
function projectFiles(): Map<string, string> {
  const folders = ['contracts', 'src', 'workers', 'test', 'docs'];
  const entries = [
    ...readdirSync(ROOT, { withFileTypes: true }),
    ...folders.flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })),
  ];
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return new Map(paths.map((path) => [relative(ROOT, path), readFileSync(path, 'utf8')]));
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
