import { Type, type Static } from 'typebox';
import { pageOf, pageQuery } from '../wire/page.js';

const closed = { additionalProperties: false };

/** The name of a composition or profile is that of its file. */
export const PROMPT_NAME_PATTERN = '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$';

/** What a prompt is composed for: any JSON, by the keys that `{{key}}` names. */
export const PromptContext = Type.Record(Type.String({ minLength: 1, maxLength: 128 }), Type.Unknown(), {
  description: 'What `{{key}}` stands for. A text is put in as it is, anything else as JSON.',
  examples: [{ topic: 'tabs or spaces', agent_id: 'ann' }],
});
export type PromptContext = Static<typeof PromptContext>;

export const ComponentUse = Type.Object({
  name: Type.String(),
  source: Type.String({ description: 'A file below the folder of prompts: `components/roles/reviewer.md`.' }),
  vars: Type.Record(Type.String(), Type.Unknown(), {
    description: "Defaults of what the context lacks; in a text, the context's `{{key}}` is replaced.",
  }),
  condition: Type.Optional(
    Type.String({
      description:
        "When it is part of the prompt: `{{role}} == 'teacher' and not {{quiet}}`. Of the context; nothing is run.",
    }),
  ),
});
export type ComponentUse = Static<typeof ComponentUse>;

/** What a composition says of itself: KSI chooses by the fields named here; any other is yours. */
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
    description: 'Keys that the context must have, and what each is.',
  }),
  metadata,
};

export const Composition = Type.Object({ ...head, components: Type.Array(ComponentUse) });
export type Composition = Static<typeof Composition>;

/** `own`: the operator's, in KSI_PROMPTS. `library`: comes with KSI; an own one of the same name stands in its place. */
export const PROMPT_ORIGINS = ['own', 'library'] as const;
const origin = Type.Enum([...PROMPT_ORIGINS], {
  description: '`own`: of KSI_PROMPTS. `library`: comes with KSI.',
});

export const CompositionView = Type.Object({ ...Composition.properties, origin });
export type CompositionView = Static<typeof CompositionView>;

export const CompositionsQuery = pageQuery({
  category: Type.Optional(Type.String({ description: 'Those whose metadata has this category.' })),
});
export type CompositionsQuery = Static<typeof CompositionsQuery>;

/** A composition without its components. */
export const CompositionListed = Type.Object({ ...head, origin });
export type CompositionListed = Static<typeof CompositionListed>;

/** By name. */
export const CompositionPage = pageOf(CompositionListed, {
  broken: Type.Array(Type.Object({ name: Type.String(), problem: Type.String() }), {
    description: 'Files that are no composition, and why.',
  }),
});
export type CompositionPage = Static<typeof CompositionPage>;

export const PromptParams = Type.Object(
  { name: Type.String({ pattern: PROMPT_NAME_PATTERN, description: 'Its name: that of its file.' }) },
  closed,
);
export type PromptParams = Static<typeof PromptParams>;

export const ComposeRequest = Type.Object({ context: Type.Optional(PromptContext) }, closed);
export type ComposeRequest = Static<typeof ComposeRequest>;

const unresolved = Type.Array(Type.String(), {
  description: 'Keys of `{{key}}` that neither the context nor a var has: they stand in the prompt as they are.',
});

export const ComposedPrompt = Type.Object({
  prompt: Type.String(),
  length: Type.Integer(),
  composition: Type.String(),
  components: Type.Array(Type.String(), { description: 'Names of those whose condition held, in order.' }),
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
  directory: Type.Optional(Type.String({ maxLength: 256, description: 'Only those in it or below.' })),
});
export type ComponentsQuery = Static<typeof ComponentsQuery>;

/** Paths below `components/`, in order. */
export const ComponentPage = pageOf(Type.String(), {});
export type ComponentPage = Static<typeof ComponentPage>;

/** For whom a composition is chosen. */
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
  fallback: Type.Boolean({ description: 'None fits: it is the default one.' }),
});
export type CompositionChoice = Static<typeof CompositionChoice>;

export const SelectAnswer = Type.Object({
  ...CompositionChoice.properties,
  others: Type.Array(Type.Object({ composition: Type.String(), score: Type.Number() }), {
    description: 'The next ones, the best first.',
  }),
});
export type SelectAnswer = Static<typeof SelectAnswer>;
