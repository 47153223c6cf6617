import { register } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Writes the reference of the SDK to dist/sdk-reference, by typedoc. Exits 1 for anything that it warns of: a name that leads nowhere, for example. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

register('./typescript-for-typedoc.js', import.meta.url);
const { Application } = await import('typedoc');

const app = await Application.bootstrap({
  name: 'KSI: the TypeScript SDK',
  entryPoints: ['src/client/index.ts', 'src/client/nats/index.ts'].map((path) => join(ROOT, path)),
  tsconfig: join(ROOT, 'tsconfig.json'),
  // The build has checked them.
  skipErrorChecking: true,
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  readme: 'none',
  // Values of files that need TypeBox, which browsers are not to load.
  intentionallyNotExported: ['SCOPES', 'EVENT_DATA', 'OPERATIONS', 'AnswerIn', 'RequestIn'],
  out: join(ROOT, 'dist', 'sdk-reference'),
  logLevel: 'Warn',
});
const project = await app.convert();
if (project !== undefined) {
  app.validate(project);
  await app.generateOutputs(project);
}
process.exitCode = project === undefined || app.logger.hasErrors() || app.logger.hasWarnings() ? 1 : 0;
