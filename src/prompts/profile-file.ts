import { Type, type Static } from 'typebox';
import { check, type Fault } from '../../contracts/wire/check.js';
import { Profile } from '../../contracts/agents/profiles.js';

/** What is wrong with a profile's file. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
}

/** A profile of the first KSI: `agent_profiles/<name>.json`. Further fields said nothing to anybody but its own agents. */
const OldProfile = Type.Object({
  description: Type.Optional(Type.String()),
  model: Type.Optional(Type.String()),
  role: Type.Optional(Type.String()),
  capabilities: Type.Optional(Type.Array(Type.String())),
  system_prompt: Type.Optional(Type.String()),
  composition: Type.Optional(Type.String()),
  enable_tools: Type.Optional(Type.Boolean()),
  allowed_tools: Type.Optional(Type.Array(Type.String())),
});
/** Fields that only an old one has. */
const OLD_FIELDS = ['name', 'model', 'system_prompt', 'enable_tools', 'allowed_tools', 'prompt_template'];

/** Reads a profile, of this KSI or the first one. @throws {ProfileError} */
export function parseProfile(text: string): Profile {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new ProfileError((error as Error).message, { cause: error });
  }
  const old = typeof raw === 'object' && raw !== null && OLD_FIELDS.some((field) => Object.hasOwn(raw, field));
  const profile = check(Profile, old ? modern(raw) : raw);
  if (!profile.ok) throw faulty(profile.faults);
  return profile.value;
}

function modern(raw: unknown): Profile {
  const checked = check(OldProfile, raw);
  if (!checked.ok) throw faulty(checked.faults);
  const { model, system_prompt: prompt, enable_tools: tools = true, allowed_tools: allowed, ...rest } = checked.value;
  const { description, role, capabilities, composition }: Partial<Static<typeof OldProfile>> = rest;
  return {
    ...(description === undefined ? {} : { description }),
    ...(role === undefined ? {} : { role }),
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(composition === undefined ? {} : { composition }),
    options: {
      ...(model === undefined ? {} : { model }),
      ...(prompt === undefined || prompt === '' ? {} : { append_system_prompt: prompt }),
      ...(allowed === undefined || !tools ? {} : { allowed_tools: allowed }),
    },
  };
}

const faulty = (faults: readonly Fault[]): ProfileError =>
  new ProfileError(faults.map(({ field, message }) => `${field === '' ? 'It' : `\`${field}\``} ${message}`).join('; '));
