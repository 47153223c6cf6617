import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request, interceptors, Agent } from 'undici';
import { run } from './run.js';
import { PINNED_VERSION } from './version.js';

const CONNECT_TIMEOUT_MS = 4_000;
const DOWNLOAD_TIMEOUT_MS = 120_000;

/** The file name of the release's archive. Undefined if the project has none for the platform. */
export function archiveName(platform: NodeJS.Platform, arch: string): string | undefined {
  const system = { linux: 'linux', darwin: 'darwin' }[platform as string];
  const machine = { x64: 'amd64', arm64: 'arm64' }[arch];
  if (system === undefined || machine === undefined) return undefined;
  return `nats-server-v${PINNED_VERSION}-${system}-${machine}.tar.gz`;
}

/** The SHA-256 of a file in a list of `HASH  NAME` lines. */
export function sumIn(sums: string, name: string): string | undefined {
  for (const line of sums.split('\n')) {
    const [hash = '', file = ''] = line.trim().split(/\s+\*?/);
    if (file === name && /^[0-9a-f]{64}$/.test(hash)) return hash;
  }
  return undefined;
}

/**
 * Downloads the pinned release from the project's release page and checks it against the release's SHA256SUMS (docs/adr/0008 says what that
 * proves).
 * @param target stores the extracted executable
 * @throws if the page cannot be reached within seconds or the hash is wrong
 */
export async function fetchRelease(
  target: (executable: string) => Promise<void>,
  progress: (text: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const name = archiveName(process.platform, process.arch);
  if (name === undefined) throw new Error(`the project has no build for ${process.platform} on ${process.arch}`);
  const page = `https://github.com/nats-io/nats-server/releases/download/v${PINNED_VERSION}`;
  progress(`downloading ${name} from the project's release page`);
  const agent = new Agent({ connect: { timeout: CONNECT_TIMEOUT_MS } });
  const work = await mkdtemp(join(tmpdir(), 'ksi-nats-server-'));
  try {
    const sums = await download(agent, `${page}/SHA256SUMS`, signal);
    const expected = sumIn(sums.toString('utf8'), name);
    if (expected === undefined) throw new Error(`the release's SHA256SUMS does not list ${name}`);
    const archive = await download(agent, `${page}/${name}`, signal);
    const actual = createHash('sha256').update(archive).digest('hex');
    if (actual !== expected) throw new Error(`the SHA-256 of ${name} is ${actual}, but the release lists ${expected}`);
    await writeFile(join(work, name), archive);
    await run('tar', ['-xzf', name, '--strip-components=1'], { timeoutMs: 60_000, cwd: work, signal });
    await target(join(work, 'nats-server'));
  } finally {
    await agent.close();
    await rm(work, { recursive: true, force: true });
  }
}

async function download(agent: Agent, url: string, signal: AbortSignal | undefined): Promise<Buffer> {
  const limit = AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS);
  const { statusCode, body } = await request(url, {
    dispatcher: agent.compose(interceptors.redirect({ maxRedirections: 5 })),
    headersTimeout: CONNECT_TIMEOUT_MS,
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
  });
  if (statusCode !== 200) {
    await body.dump();
    throw new Error(`${url} answered ${statusCode}`);
  }
  return Buffer.from(await body.arrayBuffer());
}
