import { KsiError } from '../../client/errors.js';
import { LegacyError, plainMessage, unlessMissing } from '../errors.js';
import { isRecord } from '../../json.js';
import { ksiAgentId } from '../agent-ids.js';
import type { BridgeContext, Handler } from './handler.js';

export const setShared: Handler<'SET_SHARED'> = async ({ key, value }, { ksi }) => {
  await ksi.call('shared_set', { key, value });
  return { result: { status: 'set', key } };
};

export const getShared: Handler<'GET_SHARED'> = async ({ key }, { ksi }) => {
  const entry = await unlessMissing(ksi.call('shared_get', { key }));
  return { result: { key, value: entry?.value ?? null } };
};

/** Loads shared state and agents. Sessions are imported from their transcripts instead (`ksi import`). */
export const loadState: Handler<'LOAD_STATE'> = async ({ state_data }, context) => {
  const { shared_state: shared = {}, agents = {}, sessions = {} } = state_data;
  for (const [name, part] of Object.entries({ shared_state: shared, agents, sessions }))
    if (!isRecord(part)) throw new LegacyError('INVALID_COMMAND', `parameters.state_data.${name}: must be object`);
  const faults = [...(await loadShared(shared as Record<string, unknown>, context)), ...(await loadAgents(agents as Record<string, unknown>, context))]; // prettier-ignore
  if (faults.length > 0) throw new LegacyError('LOAD_STATE_FAILED', faults.join('; '));
  const count = (part: unknown): number => Object.keys(part as object).length;
  const message = `Loaded ${count(shared)} shared values and ${count(agents)} agents. Skipped ${count(sessions)} sessions: KSI keeps its own (ksi sessions)`;
  return { result: { status: 'loaded', message, state_keys: Object.keys(state_data) } };
};

async function loadShared(shared: Record<string, unknown>, { ksi }: BridgeContext): Promise<string[]> {
  const faults: string[] = [];
  for (const [key, value] of Object.entries(shared))
    await ksi
      .call('shared_set', { key, value })
      .catch((error: unknown) => faults.push(fault(`shared_state.${key}`, error)));
  return faults;
}

async function loadAgents(agents: Record<string, unknown>, { ksi }: BridgeContext): Promise<string[]> {
  const faults: string[] = [];
  for (const [legacyId, agent] of Object.entries(agents)) {
    const { role, capabilities } = isRecord(agent) ? agent : {};
    try {
      await ksi.call('agent_register', {
        agent_id: ksiAgentId(legacyId, `state_data.agents`),
        ...(typeof role === 'string' && role !== '' ? { role } : {}),
        ...(Array.isArray(capabilities) ? { capabilities: capabilities.map(String) } : {}),
      });
    } catch (error) {
      faults.push(fault(`agents.${legacyId}`, error));
    }
  }
  return faults;
}

/** Only KSI's answers are faults of the state. Any other error fails the command. */
function fault(name: string, error: unknown): string {
  if (error instanceof KsiError || error instanceof LegacyError) return `${name}: ${plainMessage(error)}`;
  throw error;
}
