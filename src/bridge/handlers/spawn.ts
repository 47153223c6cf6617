import { ksiAgentId } from '../agent-ids.js';
import { LegacyError } from '../errors.js';
import { resultOf, type AskedRun } from '../runs.js';
import { given, type Handler } from './handler.js';

/** The default of the old protocol, whatever KSI_MODEL says. */
const DEFAULT_MODEL = 'sonnet';

/**
 * SPAWN. `sync` waits for the outcome as long as that takes; whatever goes wrong is told within a success, as Claude's failures were.
 * `async` answers once the task is stored, and its end is told to the agent by PROCESS_COMPLETE.
 */
export const spawn: Handler<'SPAWN'> = async (parameters, { runs }) => {
  const { mode, prompt, session_id, model, agent_id, enable_tools = true } = parameters;
  if (mode !== 'sync' && mode !== 'async')
    throw new LegacyError('INVALID_MODE', `parameters.mode: must be "sync" or "async", not ${JSON.stringify(mode)}`);
  const agentId = given(agent_id);
  if (agentId !== undefined) ksiAgentId(agentId, 'parameters.agent_id');
  const asked: AskedRun = {
    prompt,
    sessionId: given(session_id),
    model: given(model) ?? DEFAULT_MODEL,
    agentId,
    tools: enable_tools,
    announce: mode === 'async' && agentId !== undefined,
  };
  if (mode === 'sync') {
    try {
      const run = await runs.start(asked);
      return { result: resultOf(await run.ended) };
    } catch (error) {
      return { result: { error: error instanceof Error ? error.message : String(error) } };
    }
  }
  try {
    const { task_id: process_id } = (await runs.start(asked)).pending;
    return { result: { process_id, status: 'started', type: 'claude', mode } };
  } catch (error) {
    throw new LegacyError('SPAWN_FAILED', error instanceof Error ? error.message : String(error), error);
  }
};
