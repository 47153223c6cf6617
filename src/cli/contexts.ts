import { homedir } from 'node:os';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { parseText } from '../json.js';
import { CliError, EXIT } from './exit.js';
import { readState, writeState } from './state.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** A cluster of this machine by its KSI_DIR, or any cluster by the address of an API and a token. */
const Cluster = Type.Union([
  Type.Object({ dir: Type.String() }),
  Type.Object({ url: Type.String(), token: Type.String() }),
]);
export type Cluster = Static<typeof Cluster>;

const Contexts = Type.Object({
  current: Type.Optional(Type.String()),
  contexts: Type.Record(Type.String(), Cluster),
});
export type Contexts = Static<typeof Contexts>;

/** The file has tokens, so it is for its user only. */
function fileOf(env: Environment): string {
  const named = env['XDG_CONFIG_HOME'];
  return join(named?.startsWith('/') === true ? named : join(homedir(), '.config'), 'ksi', 'contexts.json');
}

/** @throws {CliError} if the file is damaged */
export function readContexts(env: Environment): Contexts {
  const file = fileOf(env);
  const text = readState(file);
  if (text === '') return { contexts: {} };
  const checked = check(Contexts, parseText(text));
  if (checked.ok) return checked.value;
  throw new CliError(
    `${file} is damaged. Remove it, then add the contexts again with \`ksi context add\`.`,
    EXIT.failure,
  );
}

export const writeContexts = (env: Environment, contexts: Contexts): void =>
  writeState(fileOf(env), `${JSON.stringify(contexts, undefined, 2)}\n`);

/** The context in use. @throws {CliError} if the file is damaged */
export function currentContext(env: Environment): (Cluster & { readonly name: string }) | undefined {
  const { current: name, contexts } = readContexts(env);
  const cluster = name === undefined ? undefined : contexts[name];
  return name === undefined || cluster === undefined ? undefined : { name, ...cluster };
}
