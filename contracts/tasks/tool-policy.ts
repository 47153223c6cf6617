import { Type, type Static } from 'typebox';
import { OWNER_PATTERN } from '../wire/names.js';

/**
 * A tool (`Read`, `mcp__files__*`), or some uses of a tool (`Bash(git:*)`, `WebFetch(domain:example.org)`). Claude splits a list of
 * rules at commas and reads a leading dash as a flag, so a rule may not be mistaken for two rules or for a flag.
 */
export const TOOL_RULE_PATTERN = '^[A-Za-z_][A-Za-z0-9_*-]{0,127}(\\([^()\\u0000-\\u001f\\u007f]{1,384}\\))?$';

const rules = (description: string) =>
  Type.Optional(Type.Array(Type.String({ pattern: TOOL_RULE_PATTERN }), { maxItems: 256, description }));

const ToolLimits = Type.Object(
  {
    allow: rules(
      'The only tools that tasks may use or name in `allowed_tools`. A rule can limit the uses of `Bash` (by the start of the command) and of `WebFetch` (by domain). Default: all tools.',
    ),
    deny: rules(
      "Tools that are always denied, whatever else allows them, in the format of claude's --disallowedTools.",
    ),
  },
  { additionalProperties: false },
);
export type ToolLimits = Static<typeof ToolLimits>;

/** The operator's file KSI_TOOL_POLICY: the tools that tasks may use, whatever they request. The strictest of several limits wins. */
export const ToolPolicy = Type.Object(
  {
    ...ToolLimits.properties,
    owners: Type.Optional(
      Type.Record(Type.String({ pattern: OWNER_PATTERN }), ToolLimits, {
        additionalProperties: false,
        description: "Further limits for some owners' tasks.",
      }),
    ),
  },
  { additionalProperties: false },
);
export type ToolPolicy = Static<typeof ToolPolicy>;
