import { Type, type Static } from 'typebox';
import { pageOf, pageQuery } from '../wire/page.js';

const closed = { additionalProperties: false };

/** The name of a composition or profile is the name of its file. */
export const PROMPT_NAME_PATTERN = '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$';

/** The variables of a prompt: any JSON values, by the keys that `{{key}}` refers to. */
export const PromptContext = Type.Record(Type.String({ minLength: 1, maxLength: 128 }), Type.Unknown(), {
  description: 'The values that replace `{{key}}`. A string is inserted unchanged, any other value as JSON.',
  examples: [{ topic: 'tabs or spaces', agent_id: 'ann' }],
});
export type PromptContext = Static<typeof PromptContext>;

export const ComponentUse = Type.Object({
  name: Type.String(),
  source: Type.String({ description: 'A file in the folder of prompts, such as `components/roles/reviewer.md`.' }),
  vars: Type.Record(Type.String(), Type.Unknown(), {
    description:
      "Default values for keys that the context lacks. `{{key}}` in a string is replaced by the context's value.",
  }),
  condition: Type.Optional(
    Type.String({
      description:
        "The condition under which the component is part of the prompt: `{{role}} == 'teacher' and not {{quiet}}`. It is evaluated on the context and runs no code.",
    }),
  ),
});
export type ComponentUse = Static<typeof ComponentUse>;

/** The metadata of a composition. KSI selects compositions by the fields named here. You may add others. */
const metadata = Type.Record(Type.String(), Type.Unknown(), {
  description:
    '`role`, `compatible_roles`, `capabilities_required`, `capabilities_provided`, `tags`, `use_cases`, `tested`, `category`, `conversation_mode`, `min_agents`, `max_agents` …',
});

const head = {
  name: Type.String(),
  version: Type.String(),
  description: Type.String(),
  author: Type.String(),
  required_context: Type.Record(Type.String(), Type.Unknown(), {
    description: 'The keys that the context must have, each with a description.',
  }),
  metadata,
};

export const Composition = Type.Object({ ...head, components: Type.Array(ComponentUse) });
export type Composition = Static<typeof Composition>;

/** `own`: a file of the operator in KSI_PROMPTS, which takes precedence. `library`: a file that comes with KSI. */
export const PROMPT_ORIGINS = ['own', 'library'] as const;
const origin = Type.Enum([...PROMPT_ORIGINS], {
  description: '`own`: a file in KSI_PROMPTS. `library`: comes with KSI.',
});

export const CompositionView = Type.Object({ ...Composition.properties, origin });
export type CompositionView = Static<typeof CompositionView>;

export const CompositionsQuery = pageQuery({
  category: Type.Optional(Type.String({ description: 'Only compositions whose metadata has this category.' })),
});
export type CompositionsQuery = Static<typeof CompositionsQuery>;

/** A composition without its components. */
export const CompositionListed = Type.Object({ ...head, origin });
export type CompositionListed = Static<typeof CompositionListed>;

/** By name. */
export const CompositionPage = pageOf(CompositionListed, {
  broken: Type.Array(Type.Object({ name: Type.String(), problem: Type.String() }), {
    description: 'Files that are not valid compositions, with the reason.',
  }),
});
export type CompositionPage = Static<typeof CompositionPage>;

export const PromptParams = Type.Object(
  { name: Type.String({ pattern: PROMPT_NAME_PATTERN, description: 'The name, which is the name of the file.' }) },
  closed,
);
export type PromptParams = Static<typeof PromptParams>;

export const ComposeRequest = Type.Object({ context: Type.Optional(PromptContext) }, closed);
export type ComposeRequest = Static<typeof ComposeRequest>;

const unresolved = Type.Array(Type.String(), {
  description: 'Keys of `{{key}}` that neither the context nor `vars` defines. The prompt contains them unchanged.',
});

export const ComposedPrompt = Type.Object({
  prompt: Type.String(),
  length: Type.Integer(),
  composition: Type.String(),
  components: Type.Array(Type.String(), { description: 'Names of the components whose condition was true, in order.' }),
  unresolved,
});
export type ComposedPrompt = Static<typeof ComposedPrompt>;

export const CompositionValidation = Type.Object({
  valid: Type.Boolean(),
  prompt_length: Type.Optional(Type.Integer()),
  missing_context: Type.Optional(Type.Array(Type.String())),
  required_context: Type.Optional(head.required_context),
  issues: Type.Optional(
    Type.Object({
      missing_components: Type.Optional(Type.Array(Type.String())),
      invalid_conditions: Type.Optional(Type.Array(Type.String())),
      composition_errors: Type.Optional(Type.Array(Type.String())),
    }),
  ),
  unresolved: Type.Optional(unresolved),
});
export type CompositionValidation = Static<typeof CompositionValidation>;

export const ComponentsQuery = pageQuery({
  directory: Type.Optional(Type.String({ maxLength: 256, description: 'Only components in this directory or below.' })),
});
export type ComponentsQuery = Static<typeof ComponentsQuery>;

/** Paths below `components/`, in order. */
export const ComponentPage = pageOf(Type.String(), {});
export type ComponentPage = Static<typeof ComponentPage>;

/** The criteria for selecting a composition. */
export const SelectRequest = Type.Object(
  {
    role: Type.Optional(Type.String({ maxLength: 64 })),
    capabilities: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 })),
    task: Type.Optional(Type.String({ maxLength: 100_000 })),
  },
  closed,
);
export type SelectRequest = Static<typeof SelectRequest>;

export const CompositionChoice = Type.Object({
  composition: Type.String(),
  score: Type.Number(),
  reasons: Type.Array(Type.String()),
  fallback: Type.Boolean({ description: 'True if no composition matched and this is the default one.' }),
});
export type CompositionChoice = Static<typeof CompositionChoice>;

export const SelectAnswer = Type.Object({
  ...CompositionChoice.properties,
  others: Type.Array(Type.Object({ composition: Type.String(), score: Type.Number() }), {
    description: 'The next best compositions, best first.',
  }),
});
export type SelectAnswer = Static<typeof SelectAnswer>;
