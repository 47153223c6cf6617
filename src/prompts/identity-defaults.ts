import type { Appearance } from '../../contracts/agents/identities.js';

/** The role of an agent that has none. */
export const DEFAULT_ROLE = 'general';

/** The default traits and appearance of agents, by role. */
const BY_ROLE: Readonly<
  Record<string, readonly [traits: readonly string[], style: string, theme: string, icon: string]>
> = {
  analyst: [['precise', 'objective', 'systematic', 'sober'], 'professional', 'navy', '📊'],
  coder: [['logical', 'careful', 'practical', 'systematic'], 'technical', 'green', '💻'],
  collaborator: [['cooperative', 'open', 'supportive', 'flexible'], 'approachable', 'teal', '🤝'],
  creative: [['imaginative', 'playful', 'expressive', 'bold'], 'artistic', 'purple', '🎨'],
  critic: [['sceptical', 'exact', 'fair', 'constructive'], 'formal', 'maroon', '🧐'],
  debater: [['articulate', 'persuasive', 'quick', 'fair'], 'formal', 'red', '🗣️'],
  moderator: [['impartial', 'calm', 'attentive', 'concise'], 'formal', 'slate', '⚖️'],
  orchestrator: [['organized', 'strategic', 'decisive', 'concise'], 'executive', 'gold', '🎭'],
  planner: [['foresighted', 'structured', 'realistic', 'concise'], 'executive', 'gold', '🗺️'],
  researcher: [['curious', 'thorough', 'methodical', 'honest'], 'academic', 'blue', '🔬'],
  reviewer: [['attentive', 'exact', 'constructive', 'fair'], 'technical', 'indigo', '🔎'],
  student: [['curious', 'eager', 'honest', 'attentive'], 'friendly', 'yellow', '🎓'],
  teacher: [['patient', 'clear', 'encouraging', 'structured'], 'friendly', 'orange', '📚'],
  tester: [['sceptical', 'thorough', 'inventive', 'exact'], 'technical', 'lime', '🧪'],
  writer: [['clear', 'concise', 'vivid', 'attentive'], 'artistic', 'violet', '✍️'],
};
const OTHER_ROLES = [['helpful', 'adaptive', 'reliable', 'clear'], 'neutral', 'gray', '🤖'] as const;

const ofRole = (role: string | undefined) => {
  const key = role?.toLowerCase() ?? '';
  return (Object.hasOwn(BY_ROLE, key) ? BY_ROLE[key] : undefined) ?? OTHER_ROLES;
};

/** `<Role>-<last 4 of the id>`; without a role `Agent-<last 8>`. */
export const defaultName = (agentId: string, role: string | undefined): string =>
  role === undefined || role === '' ? `Agent-${agentId.slice(-8)}` : `${titled(role)}-${agentId.slice(-4)}`;

/** `code reviewer` → `Code Reviewer`. */
const titled = (role: string): string =>
  role.toLowerCase().replace(/\p{L}+/gu, (word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`);

export const defaultTraits = (role: string | undefined): string[] => [...ofRole(role)[0]];

export function defaultAppearance(role: string | undefined): Appearance {
  const [, style, theme, icon] = ofRole(role);
  return { avatar_style: style, color_theme: theme, icon };
}
