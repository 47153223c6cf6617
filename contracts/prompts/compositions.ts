import { Type, type Static } from 'typebox';

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

export const CompositionShown = Type.Object({ ...Composition.properties, origin });
export type CompositionShown = Static<typeof CompositionShown>;

export const CompositionsQuery = Type.Object(
  {
    metadata: Type.Optional(Type.Boolean({ default: true, description: 'Without it, only names.' })),
    category: Type.Optional(Type.String({ description: 'Those whose metadata has this category.' })),
  },
  closed,
);
export type CompositionsQuery = Static<typeof CompositionsQuery>;

const named = { name: Type.String() };
export const CompositionList = Type.Object({
  compositions: Type.Array(
    Type.Object({
      ...named,
      version: Type.Optional(head.version),
      description: Type.Optional(head.description),
      author: Type.Optional(head.author),
      required_context: Type.Optional(head.required_context),
      metadata: Type.Optional(metadata),
      origin: Type.Optional(origin),
    }),
  ),
  total: Type.Integer(),
  broken: Type.Array(Type.Object({ ...named, problem: Type.String() }), {
    description: 'Files that are no composition, and why.',
  }),
});
export type CompositionList = Static<typeof CompositionList>;

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

export const ComponentsQuery = Type.Object(
  { directory: Type.Optional(Type.String({ maxLength: 256, description: 'Only those in it or below.' })) },
  closed,
);
export type ComponentsQuery = Static<typeof ComponentsQuery>;

export const ComponentList = Type.Object({
  components: Type.Array(Type.String(), { description: 'Paths below `components/`.' }),
  by_directory: Type.Record(Type.String(), Type.Array(Type.String()), { description: '`.`: in no directory.' }),
  total: Type.Integer(),
});
export type ComponentList = Static<typeof ComponentList>;

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
