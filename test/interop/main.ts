import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster } from '../fixtures/cluster.js';
import { CLAUDE_STANDIN, REPO_ROOT } from '../fixtures/paths.js';

/**
 * `make interop`: generates clients from the OpenAPI document of a running cluster with three generators, checks their types, and runs a task
 * with each. It fails if a generator, or anything that it needs, is missing.
 */
const NODE_PACKAGES = ['openapi-typescript@7.13.0', 'openapi-fetch@0.17.0'];
const PYTHON_PACKAGES = ['openapi-python-client==0.29.1', 'datamodel-code-generator==0.89.0', 'mypy==2.4.1'];
/** Without the flag, fields of requests that have a default would be required. */
const SCHEMA = ['openapi.json', '--default-non-nullable', 'false'];
const CLIENTS = join(REPO_ROOT, 'test', 'interop', 'clients');
const TSC = join(REPO_ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

const cluster = await startCluster({ KSI_WORKERS: '1', KSI_CONCURRENCY: '2', KSI_CLAUDE_BIN: CLAUDE_STANDIN });
const folder = await mkdtemp(join(tmpdir(), 'ksi-interop-'));
try {
  const document = await (await fetch(`${cluster.url}/openapi.json`)).text();
  await writeFile(join(folder, 'openapi.json'), document);
  await typescript();
  await python();
  process.stdout.write('All clients were generated, are well typed and have run a task.\n');
} finally {
  await rm(folder, { recursive: true, force: true });
  await cluster.stop();
}

async function typescript(): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--no-save', ...NODE_PACKAGES]);
  run(join(folder, 'node_modules', '.bin', 'openapi-typescript'), [...SCHEMA, '-o', 'schema.ts']);
  await copyFile(join(CLIENTS, 'openapi-typescript.ts.txt'), join(folder, 'client.ts'));
  const types = ['--typeRoots', join(REPO_ROOT, 'node_modules', '@types'), '--types', 'node'];
  run(process.execPath, [TSC, '--strict', '--module', 'nodenext', '--target', 'es2023', ...types, 'client.ts']);
  run(process.execPath, ['client.js']);
}

async function python(): Promise<void> {
  run('python3', ['-m', 'venv', 'venv']);
  const bin = (name: string): string => join(folder, 'venv', 'bin', name);
  run(bin('pip'), ['install', '--quiet', '--disable-pip-version-check', ...PYTHON_PACKAGES]);

  const generate = ['generate', '--path', 'openapi.json', '--meta', 'none', '--output-path', 'ksi_client'];
  const generated = run(bin('openapi-python-client'), generate);
  const lost = generated.match(/^WARNING parsing .*$/gm) ?? [];
  if (lost.length > 0) throw new Error(`openapi-python-client left out operations:\n${lost.join('\n')}`);
  await copyFile(join(CLIENTS, 'openapi_python_client.py'), join(folder, 'openapi_python_client.py'));

  const models = ['--input-file-type', 'openapi', '--output-model-type', 'pydantic_v2.BaseModel'];
  const annotated = ['--use-annotated', '--enum-field-as-literal', 'all', '--target-python-version', '3.11'];
  run(bin('datamodel-codegen'), ['--input', 'openapi.json', '--output', 'models.py', ...models, ...annotated]);
  await copyFile(join(CLIENTS, 'datamodel_codegen.py'), join(folder, 'datamodel_codegen.py'));

  run(bin('mypy'), ['--ignore-missing-imports', 'openapi_python_client.py', 'datamodel_codegen.py']);
  for (const client of ['openapi_python_client.py', 'datamodel_codegen.py']) run(bin('python'), [client]);
}

/** Runs a command in the folder. @returns its output. @throws if it is missing or fails. */
function run(command: string, args: readonly string[]): string {
  process.stderr.write(`${command} ${args.join(' ')}\n`);
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, KSI_URL: cluster.url, KSI_TOKEN: cluster.token },
  });
  if (error !== undefined) throw new Error(`${command} cannot be run; install it`, { cause: error });
  process.stderr.write(stdout);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout + stderr;
}
