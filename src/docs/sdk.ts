import { register } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Writes the reference of the SDK to dist/sdk-reference with typedoc. Exits with 1 for each warning, such as an unresolved name. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

register('./typescript-for-typedoc.js', import.meta.url);
const { Application } = await import('typedoc');

const app = await Application.bootstrap({
  name: 'KSI: the TypeScript SDK',
  entryPoints: ['src/client/index.ts', 'src/client/nats/index.ts'].map((path) => join(ROOT, path)),
  tsconfig: join(ROOT, 'tsconfig.json'),
  // The build has already checked the types.
  skipErrorChecking: true,
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  readme: 'none',
  // These values need TypeBox, which browsers must not load.
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
