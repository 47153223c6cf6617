export interface BrokerUser {
  readonly name: string;
  /** The public key. */
  readonly key: string;
}

/** The parts of nats.conf that its variables cannot express. */
export interface NatsConfChoices {
  /** Named like their processes: `worker-1`, `worker-2`, … */
  readonly workers: readonly BrokerUser[];
  /** Named by the agents' ids. */
  readonly agents: readonly BrokerUser[];
  readonly tls: boolean;
}

/**
 * Renders a cluster's configuration from the template nats.conf. The lines between `# each worker {` and `# } each worker` describe the user
 * `worker-1` and are repeated for each worker. `# each agent {` does the same with `agent-1` and the agents. With TLS, the lines between
 * `# with tls {` and `# } with tls` are uncommented.
 */
export function renderNatsConf(conf: string, { workers, agents, tls }: NatsConfChoices): string {
  const rendered = [
    (text: string) => eachUser(text, 'worker', workers),
    (text: string) => eachUser(text, 'agent', agents),
    (text: string) => withBlocks(text, 'with tls', (block) => (tls ? block.replace(/^( *)# /gm, '$1') : '')),
  ];
  return rendered.reduce((text, render) => render(text), conf);
}

const eachUser = (conf: string, role: 'worker' | 'agent', users: readonly BrokerUser[]): string =>
  withBlocks(conf, `each ${role}`, (block) => users.map((user) => forUser(block, role, user)).join(''));

const forUser = (block: string, role: 'worker' | 'agent', { name, key }: BrokerUser): string =>
  block.replaceAll(`$KSI_NKEY_${role.toUpperCase()}_1`, () => key).replaceAll(`${role}-1`, () => name);

/** @throws {Error} if the block is missing: the broker would lack the permissions or the restrictions in it */
function withBlocks(conf: string, label: string, render: (block: string) => string): string {
  const blocks = new RegExp(`^ *# ${label} \\{\\n([^]*?)^ *# \\} ${label}\\n`, 'gm');
  if (conf.search(blocks) < 0) throw new Error(`nats.conf has no block "# ${label} {" … "# } ${label}"`);
  return conf.replace(blocks, (_, block: string) => render(block));
}
