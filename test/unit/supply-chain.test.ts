import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { REPO_ROOT } from '../fixtures/paths.js';

/** Licences that ask for no more than their own text. */
const FREE = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'CC0-1.0',
  'Python-2.0',
]);
/** Packages whose terms are not among them, each with why it is here all the same. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  '@anthropic-ai/': "Claude itself: used under Anthropic's commercial terms, which its users accept",
};
/** Packages that have install scripts. They bring builds for the usual platforms, so that the scripts need not run. */
const WITH_SCRIPTS = new Set(['lmdb', 'msgpackr-extract', 'esbuild']);

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly link?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Where Node looks for what a package asks for: in its own folder, and in those that it lies in. */
const above = (path: string): string[] => {
  const folders = [path === '' ? '' : `${path}/`];
  for (let at = path.lastIndexOf('node_modules/'); at !== -1; at = path.lastIndexOf('node_modules/', at - 1)) {
    folders.push(path.slice(0, at));
    if (at === 0) break;
  }
  return folders;
};

const read = (file: string): unknown => JSON.parse(readFileSync(join(REPO_ROOT, file), 'utf8'));

describe('the packages that KSI depends on', () => {
  const { packages } = read('package-lock.json') as { packages: Record<string, Locked> };
  const installed = Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, locked]) => ({ name: path.slice(path.lastIndexOf('node_modules/') + 13), ...locked }));

  it('are locked to exact versions with their hashes', () => {
    assert.ok(installed.length > 100);
    for (const { name, version, integrity } of installed) {
      assert.match(version ?? '', /^\d+\.\d+\.\d+/, name);
      assert.match(integrity ?? '', /^sha512-/, name);
    }
    const { dependencies, devDependencies } = read('package.json') as Record<string, Record<string, string>>;
    for (const [name, range] of Object.entries({ ...dependencies, ...devDependencies }))
      assert.match(range, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${name} is not exact`);
  });

  it('are all in the lock file, including those for other platforms, because `npm ci` refuses it otherwise', () => {
    const missing = Object.entries(packages).flatMap(([path, { dependencies, optionalDependencies }]) =>
      Object.keys({ ...dependencies, ...optionalDependencies })
        .filter((name) => !above(path).some((folder) => packages[`${folder}node_modules/${name}`] !== undefined))
        .map((name) => `${name}, which ${path === '' ? 'we' : path} ask for`),
    );
    assert.deepEqual(missing, []);
  });

  it('come from the configured npm registry: the lock file names none', () => {
    assert.doesNotMatch(readFileSync(join(REPO_ROOT, 'package-lock.json'), 'utf8'), /"resolved"|https?:\/\/[^"]*\.tgz/);
  });

  it('have permitted licences', () => {
    const other = installed.filter(
      ({ name, license = '' }) =>
        !license.split(/ OR /).some((one) => FREE.has(one.replaceAll(/[()]/g, ''))) &&
        !Object.keys(EXCEPTIONS).some((prefix) => name.startsWith(prefix)),
    );
    assert.deepEqual(
      other.map(({ name, license }) => `${name}: ${license}`),
      [],
    );
  });

  it('run only known scripts at installation', () => {
    const scripts = installed.filter(({ hasInstallScript }) => hasInstallScript === true).map(({ name }) => name);
    assert.deepEqual(
      scripts.filter((name) => !WITH_SCRIPTS.has(name)),
      [],
    );
    assert.match(
      readFileSync(join(REPO_ROOT, '.npmrc'), 'utf8'),
      /^ignore-scripts=true$/m,
      'and those need none either',
    );
  });
});
