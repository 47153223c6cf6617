import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * Part of the build: puts typebox into dist/node_modules as four files. The package has 684, and reading them took half the time that `ksi --version`
 * needed (ADR 62). Everything below dist/ finds this copy first; without it, Node finds the package itself.
 */
const from = new URL('../../node_modules/typebox/', import.meta.url);
const to = fileURLToPath(new URL('../node_modules/typebox/', import.meta.url));

await rm(to, { recursive: true, force: true });
await mkdir(to, { recursive: true });
await build({
  entryPoints: { index: 'typebox', compile: 'typebox/compile', format: 'typebox/format' },
  absWorkingDir: fileURLToPath(new URL('../../', import.meta.url)),
  outdir: to,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'neutral',
  legalComments: 'eof',
  logLevel: 'warning',
});
await cp(fileURLToPath(new URL('license', from)), `${to}license`);
await writeFile(
  `${to}package.json`,
  JSON.stringify({ name: 'typebox', type: 'module', exports: { '.': './index.js', './*': './*.js' } }),
);
