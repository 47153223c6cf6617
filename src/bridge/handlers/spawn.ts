import { ksiAgentId } from '../agent-ids.js';
import { LegacyError, plainMessage } from '../errors.js';
import { resultOf, type RunRequest } from '../runs.js';
import { given, type Handler } from './handler.js';

/** The old protocol's default. KSI_MODEL does not apply. */
const DEFAULT_MODEL = 'sonnet';

/**
 * With `sync`, the answer is the outcome, without a time limit. Like in the old daemon, every failure is an `error` within a success answer. With
 * `async`, the answer comes when the task is stored, and the agent gets a PROCESS_COMPLETE at its end.
 */
export const spawn: Handler<'SPAWN'> = async (parameters, { runs }) => {
  const { mode, prompt, session_id, model, agent_id, enable_tools = true } = parameters;
  if (mode !== 'sync' && mode !== 'async')
    throw new LegacyError('INVALID_MODE', `parameters.mode: must be "sync" or "async", not ${JSON.stringify(mode)}`);
  const agentId = given(agent_id);
  if (agentId !== undefined) ksiAgentId(agentId, 'parameters.agent_id');
  const runRequest: RunRequest = {
    prompt,
    sessionId: given(session_id),
    model: given(model) ?? DEFAULT_MODEL,
    agentId,
    tools: enable_tools,
    announce: mode === 'async' && agentId !== undefined,
  };
  try {
    const { ended, pending } = await runs.start(runRequest);
    if (mode === 'sync') return { result: resultOf(await ended) };
    return { result: { process_id: pending.task_id, status: 'started', type: 'claude', mode } };
  } catch (error) {
    const message = plainMessage(error);
    if (mode === 'sync') return { result: { error: message } };
    throw new LegacyError('SPAWN_FAILED', message, error);
  }
};
