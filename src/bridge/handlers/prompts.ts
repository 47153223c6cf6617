import { listing } from '../../client/listing.js';
import { KsiError } from '../../client/errors.js';
import { LegacyError, plainMessage } from '../errors.js';
import { defined } from '../../defined.js';
import { fitting } from './fitting.js';
import { given, type Handler } from './handler.js';

export const getCompositions: Handler<'GET_COMPOSITIONS'> = async (
  { include_metadata = true, category },
  { ksi, mirror },
) => {
  await mirror();
  const all = await listing(ksi, 'compositions', { limit: 500, ...defined({ category: given(category) }) }).all();
  // Clients read the files of the names that they get.
  const found = all.filter(({ origin }) => origin === 'own');
  const { shown, ...omitted } = fitting(
    found.map(({ name, version, description, author, required_context, metadata }) => [
      name,
      include_metadata ? { name, version, description, author, required_context, metadata } : { name },
    ]),
  );
  return { result: { compositions: shown, total: found.length, ...omitted } };
};

export const getComposition: Handler<'GET_COMPOSITION'> = async ({ name }, { ksi }) => {
  const { origin: _origin, components, ...rest } = await found(name, ksi.call('composition', { name }));
  // The old daemon showed all four fields of each component.
  const componentViews = components.map(({ name: part, source, vars, condition }) => ({
    name: part,
    source,
    vars,
    condition: condition ?? null,
  }));
  return { result: { composition: { ...rest, components: componentViews } } };
};

export const validateComposition: Handler<'VALIDATE_COMPOSITION'> = async ({ name, context }, { ksi }) => {
  const { unresolved: _unresolved, ...validation } = await found(
    name,
    ksi.call('composition_validate', { name, context }),
  );
  return { result: validation };
};

export const listComponents: Handler<'LIST_COMPONENTS'> = async ({ directory }, { ksi }) => {
  const query = { limit: 500, ...defined({ directory: given(directory) }) };
  const components = await listing(ksi, 'components', query).all();
  const byDirectory: Record<string, string[]> = {};
  // The old daemon's name for the folder itself is ''.
  for (const path of components) (byDirectory[path.slice(0, Math.max(0, path.lastIndexOf('/')))] ??= []).push(path);
  return { result: { components, by_directory: byDirectory, total: components.length } };
};

export const composePrompt: Handler<'COMPOSE_PROMPT'> = async ({ composition, context }, { ksi }) => {
  const { prompt, length } = await found(composition, ksi.call('composition_compose', { name: composition, context }));
  return { result: { prompt, length, composition } };
};

async function found<T>(name: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KsiError && error.status === 404)
      throw new LegacyError(
        'COMPOSITION_NOT_FOUND',
        `There is no composition ${JSON.stringify(name)}. GET_COMPOSITIONS lists them.`,
        error,
      );
    if (error instanceof KsiError && error.code === 'context_missing')
      throw new LegacyError('CONTEXT_VALIDATION_ERROR', plainMessage(error), error);
    throw error;
  }
}
