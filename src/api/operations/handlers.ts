import { accessHandlers } from './access.js';
import { agentHandlers } from './agents.js';
import { conversationHandlers } from './conversations.js';
import { deadHandlers } from './dead.js';
import type { Handlers } from './handler.js';
import { promptHandlers } from './prompts.js';
import { sessionHandlers } from './sessions.js';
import { sharedHandlers } from './shared.js';
import { systemHandlers } from './system.js';
import { taskHandlers } from './tasks.js';

/** What each operation does when it is asked for over NATS; an area is a file. The HTTP routes call the same. */
export const HANDLERS: Handlers = {
  ...taskHandlers,
  ...sessionHandlers,
  ...agentHandlers,
  ...conversationHandlers,
  ...deadHandlers,
  ...accessHandlers,
  ...promptHandlers,
  ...sharedHandlers,
  ...systemHandlers,
};
