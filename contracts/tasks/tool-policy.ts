import { Type, type Static } from 'typebox';
import { OWNER_PATTERN } from '../wire/names.js';

/**
 * A tool (`Read`, `mcp__files__*`), or some uses of it (`Bash(git:*)`, `WebFetch(domain:example.org)`). Claude takes rules as one
 * list by comma, and values that begin with a dash as flags: so no rule may look like two, or like one of those.
 */
export const TOOL_RULE_PATTERN = '^[A-Za-z_][A-Za-z0-9_*-]{0,127}(\\([^()\\u0000-\\u001f\\u007f]{1,384}\\))?$';

const rules = (description: string) =>
  Type.Optional(Type.Array(Type.String({ pattern: TOOL_RULE_PATTERN }), { maxItems: 256, description }));

const ToolLimits = Type.Object(
  {
    allow: rules(
      'Only these may be used, and asked for in `allowed_tools`. Of a tool, uses can be named for `Bash` (by the beginning of the command) and `WebFetch` (by domain). Absent: any.',
    ),
    deny: rules("Never these, whatever else allows them; as in claude's --disallowedTools."),
  },
  { additionalProperties: false },
);
export type ToolLimits = Static<typeof ToolLimits>;

/** The operator's file, KSI_TOOL_POLICY: what tasks may do, whatever they ask for. Of several limits the strictest wins. */
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
