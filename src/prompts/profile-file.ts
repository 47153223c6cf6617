import { Type } from 'typebox';
import { check, type Fault } from '../../contracts/wire/check.js';
import { Profile } from '../../contracts/agents/profiles.js';
import { isRecord, parseText } from '../json.js';
import { pickFields } from '../pick-fields.js';
import { defined } from '../defined.js';

/** A profile file is invalid. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
}

const KEPT_FIELDS = {
  description: Type.Optional(Type.String()),
  role: Type.Optional(Type.String()),
  capabilities: Type.Optional(Type.Array(Type.String())),
  composition: Type.Optional(Type.String()),
};

/** A profile of the legacy KSI: `agent_profiles/<name>.json`. Other fields are ignored. */
const LegacyProfile = Type.Object({
  ...KEPT_FIELDS,
  model: Type.Optional(Type.String()),
  system_prompt: Type.Optional(Type.String()),
  enable_tools: Type.Optional(Type.Boolean()),
  allowed_tools: Type.Optional(Type.Array(Type.String())),
});
/** Fields that only legacy profiles have. */
const LEGACY_FIELDS = [
  'name',
  'model',
  'system_prompt',
  'enable_tools',
  'allowed_tools',
  'prompt_template',
  'system_instructions',
];

/** Parses a profile, current or legacy. @throws {ProfileError} */
export function parseProfile(text: string): Profile {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new ProfileError((error as Error).message, { cause: error });
  }
  const profile = check(Profile, isLegacy(raw) ? modern(raw) : raw);
  if (!profile.ok) throw faulty(profile.faults);
  return profile.value;
}

/** The fields of a legacy profile that `parseProfile` ignores. @returns [] for a current profile or an invalid file */
export function ignoredFields(text: string): string[] {
  const raw = parseText(text);
  if (!isLegacy(raw)) return [];
  return Object.keys(raw).filter((field) => field !== 'name' && !Object.hasOwn(LegacyProfile.properties, field));
}

const isLegacy = (raw: unknown): raw is Record<string, unknown> =>
  isRecord(raw) && LEGACY_FIELDS.some((field) => Object.hasOwn(raw, field));

function modern(raw: unknown): Profile {
  const checked = check(LegacyProfile, raw);
  if (!checked.ok) throw faulty(checked.faults);
  const { model, system_prompt: prompt, enable_tools: tools = true, allowed_tools: allowed } = checked.value;
  return {
    ...pickFields(checked.value, KEPT_FIELDS),
    options: defined({
      model,
      ...(prompt === undefined || prompt === '' ? {} : { append_system_prompt: prompt }),
      ...(allowed === undefined || !tools ? {} : { allowed_tools: allowed }),
    }),
  };
}

const faulty = (faults: readonly Fault[]): ProfileError =>
  new ProfileError(faults.map(({ field, message }) => `${field === '' ? 'It' : `\`${field}\``} ${message}`).join('; '));
