import type { Config } from '../../../contracts/config/config.js';
import type { Fault } from '../../../contracts/wire/check.js';
import { DEFAULT_QUEUE, STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { SpawnRequest } from '../../../contracts/tasks/spawn.js';
import type { Broker } from '../../broker/connect.js';
import { lastBySubject } from '../../broker/read.js';
import { listOf } from '../../config/load.js';
import type { ReadModel } from '../../store/read-model.js';
import { NotValidated, validateInThread } from '../../output-schema/validate-in-thread.js';
import { serversFor, type McpServersFile } from '../../tools/mcp-servers.js';
import { boundWorkspace } from '../../sessions/transcript/workspace.js';
import { layersOf, requestFault } from '../../tools/limits.js';
import type { ToolPolicyFile } from '../../tools/policy-file.js';
import type { Workspaces } from '../../workspaces/roots.js';
import { ApiError, apiErrorOf, withApiErrors, invalid } from '../../errors/api-error.js';
import { maySee, type Principal } from '../../access/principal.js';
import type { SessionRecords } from '../../sessions/records.js';
import { faultsOfAttachments } from './attachments.js';
import type { TargetSession } from '../../sessions/target-session.js';

export interface AdmissionOptions {
  readonly broker: Broker;
  readonly model: Pick<ReadModel, 'session'>;
  readonly config: Pick<Config, 'KSI_QUEUES' | 'KSI_MAX_PROMPT_CHARS'>;
  readonly records: Pick<SessionRecords, 'ownerOf'>;
  readonly workspaces: Pick<Workspaces, 'find'>;
  readonly toolPolicy: Pick<ToolPolicyFile, 'current'>;
  readonly mcpServers: Pick<McpServersFile, 'current'>;
}

const MAX_SCHEMA_CHARS = 65_536;

/** Claude exits at its start if the schema is invalid. */
async function faultsOfSchema({ output_schema: schema }: Partial<SpawnRequest>, owner: string): Promise<Fault[]> {
  if (schema === undefined) return [];
  if (JSON.stringify(schema).length > MAX_SCHEMA_CHARS)
    return [{ field: 'output_schema', message: `is longer than ${MAX_SCHEMA_CHARS} characters` }];
  const verdict = await validateInThread({ schema }, owner).catch((error: unknown) => {
    if (error instanceof NotValidated) throw new ApiError('schema_unchecked', error.message, { cause: error });
    throw error;
  });
  if (verdict.kind === 'fits') return [];
  return verdict.mismatches.map(({ path, message }) => ({ field: `output_schema${dotted(path)}`, message }));
}

const dotted = (path: string): string => path.split('/').map(unescaped).join('.');
const unescaped = (step: string): string => step.replaceAll('~1', '/').replaceAll('~0', '~');

/** The checks of a spawn request that its JSON schema cannot express. Workers repeat the checks that depend on their host. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #queues: ReadonlySet<string>;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#queues = new Set(listOf(options.config.KSI_QUEUES));
  }

  /** @throws {ApiError} invalid_request with all faults, tool_not_allowed */
  async check(request: Partial<SpawnRequest>, { owner }: Principal): Promise<void> {
    const faults = [
      ...this.#faults(request, owner),
      ...(await this.#faultsOfWorkspace(request)),
      ...(await faultsOfSchema(request, owner)),
    ];
    if (faults.length > 0) throw invalid(faults);
    const { allowed_tools: allowed = [] } = request;
    if (allowed.length === 0) return;
    const layers = layersOf(this.#options.toolPolicy.current, owner, request);
    for (const rule of allowed) {
      const why = requestFault(layers, rule);
      if (why !== undefined) throw new ApiError('tool_not_allowed', `allowed_tools: ${why}`);
    }
  }

  *#faults(request: Partial<SpawnRequest>, owner: string): Generator<Fault> {
    const { config, mcpServers } = this.#options;
    const { KSI_MAX_PROMPT_CHARS: max } = config;
    const { prompt = '', queue = DEFAULT_QUEUE } = request;
    if (prompt.length > max)
      yield { field: 'prompt', message: `has ${prompt.length} characters; KSI_MAX_PROMPT_CHARS allows ${max}` };
    if (!this.#queues.has(queue))
      yield {
        field: 'queue',
        message: `is not a queue of this cluster. Its queues are ${[...this.#queues].join(', ')}`,
      };
    for (const field of ['resume_only', 'fork'] as const)
      if (request[field] === true && request.session_id === undefined) yield { field, message: 'needs a `session_id`' };
    yield* faultsOfAttachments(request.attachments);
    const { missing } = serversFor(mcpServers.current, request.mcp_servers ?? [], owner);
    if (missing.length > 0)
      yield {
        field: 'mcp_servers',
        message: `KSI_MCP_SERVERS has no ${missing.join(', ')} for ${owner}`,
      };
  }

  /** A workspace that is missing here may exist on another host, so the worker checks for it. */
  async #faultsOfWorkspace({ workspace }: Partial<SpawnRequest>): Promise<Fault[]> {
    if (workspace === undefined) return [];
    const found = await this.#options.workspaces.find(workspace);
    return found.kind === 'refused' ? [{ field: 'workspace', message: found.why }] : [];
  }

  /** @throws {ApiError} session_not_found, workspace_mismatch */
  async checkSession(
    { sessionId }: TargetSession,
    request: Partial<SpawnRequest>,
    principal: Principal,
  ): Promise<void> {
    const known = await this.#ownerOf(sessionId);
    // The answer does not reveal that another owner's session exists.
    if (known !== undefined && !maySee(principal, known))
      throw new ApiError('session_not_found', 'There is no such session');
    try {
      if (request.workspace !== undefined) await this.#checkFolder(sessionId, request.workspace);
      if (request.resume_only !== true || known !== undefined || (await this.#hasTasks(sessionId))) return;
    } catch (error) {
      throw apiErrorOf(error);
    }
    throw new ApiError('session_not_found', `There is no session ${request.session_id}`);
  }

  /**
   * @param sessionId the session to fork.
   * @returns its workspace; undefined if it has its own folder.
   * @throws {ApiError} session_not_found
   */
  async checkFork(sessionId: string, principal: Principal): Promise<string | undefined> {
    const known = await this.#ownerOf(sessionId);
    const maySeeSession = known === undefined ? principal.seesAll : maySee(principal, known);
    const hasTasks = maySeeSession && (await withApiErrors(() => this.#hasTasks(sessionId)));
    if (!hasTasks) throw new ApiError('session_not_found', `There is no session ${sessionId} to fork`);
    return withApiErrors(() => this.#folderOf(sessionId));
  }

  /** A session keeps its first workspace. The worker binds it; a mismatch with a bound workspace is reported early, here. */
  async #checkFolder(sessionId: string, requested: string): Promise<void> {
    const [folder, transcript] = await Promise.all([
      this.#folderOf(sessionId),
      lastBySubject(this.#options.broker, STREAM.transcripts, SUBJECT.transcript(sessionId)),
    ]);
    if (folder === requested || (folder === undefined && transcript === undefined)) return;
    throw new ApiError(
      'workspace_mismatch',
      `The session works in ${folder ?? 'a folder of its own'}, not in ${requested}`,
    );
  }

  /** The workspace of a session. @throws {BrokerError} */
  async #folderOf(sessionId: string): Promise<string | undefined> {
    return boundWorkspace(this.#options.broker, sessionId);
  }

  /** The owner of a session; undefined if it does not exist yet. @throws {ApiError} */
  async #ownerOf(sessionId: string): Promise<string | undefined> {
    const { model, records } = this.#options;
    const session = await model.session(sessionId);
    if (session !== undefined) return session.owner;
    return withApiErrors(() => records.ownerOf(sessionId));
  }

  /** Whether the broker has a session that this API's read model does not have yet. Another API may have just created it. */
  async #hasTasks(sessionId: string): Promise<boolean> {
    const { broker } = this.#options;
    const stored = await Promise.all([
      lastBySubject(broker, STREAM.transcripts, SUBJECT.transcript(sessionId)),
      lastBySubject(broker, STREAM.commands, SUBJECT.session(sessionId)),
    ]);
    return stored.some((message) => message !== undefined);
  }
}
