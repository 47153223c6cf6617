import type { ClientLink } from './client-link.js';
export class BridgeAgents {
  owns(_link: ClientLink): boolean { return false; }
  connected(): string[] { return []; }
  async stop(): Promise<void> {}
}
