/** A user of the broker, and its public key. */
export interface BrokerUser {
  readonly name: string;
  readonly key: string;
}

/** What of nats.conf depends on the cluster beyond what its variables say. */
export interface NatsConfChoices {
  /** By the names of their processes: `worker-1` … */
  readonly workers: readonly BrokerUser[];
  /** By their ids. */
  readonly agents: readonly BrokerUser[];
  readonly tls: boolean;
}

/**
 * The configuration of a cluster's nats-servers, from nats.conf. There the lines between `# each worker {` and `# } each worker` are the user of the
 * process `worker-1`; here they stand once for each worker. In the same way those of `agent-1` for each agent. The
 * comments between `# with tls {` and `# } with tls` are taken for lines when there is TLS.
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

/** @throws {Error} when there is no such block: what it permits would be missing, or what it forbids. */
function withBlocks(conf: string, label: string, render: (block: string) => string): string {
  const blocks = new RegExp(`^ *# ${label} \\{\\n([^]*?)^ *# \\} ${label}\\n`, 'gm');
  if (conf.search(blocks) < 0) throw new Error(`nats.conf has no block "# ${label} {" … "# } ${label}"`);
  return conf.replace(blocks, (_, block: string) => render(block));
}
