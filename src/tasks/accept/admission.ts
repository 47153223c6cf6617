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
import { ApiError, apiErrorOf, guarded, invalid } from '../../errors/api-error.js';
import { maySee, type Principal } from '../../access/principal.js';
import type { SessionRecords } from '../../sessions/records.js';
import { faultsOfAttachments } from './attachments.js';
import type { SessionChoice } from '../../sessions/choice.js';

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

/** Claude's process would end at its start with what is no schema. */
async function faultsOfSchema({ output_schema: schema }: SpawnRequest, owner: string): Promise<Fault[]> {
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

/** Whether a request may become a task: what its schema can't tell. A worker checks again what it alone can be sure of. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #queues: ReadonlySet<string>;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#queues = new Set(listOf(options.config.KSI_QUEUES));
  }

  /** @throws {ApiError} invalid_request with all faults, tool_not_allowed */
  async check(request: SpawnRequest, { owner }: Principal): Promise<void> {
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

  *#faults(request: SpawnRequest, owner: string): Generator<Fault> {
    const { config, mcpServers } = this.#options;
    const { KSI_MAX_PROMPT_CHARS: most } = config;
    const queue = request.queue ?? DEFAULT_QUEUE;
    const { length } = request.prompt;
    if (length > most)
      yield { field: 'prompt', message: `has ${length} characters; KSI_MAX_PROMPT_CHARS allows ${most}` };
    if (!this.#queues.has(queue))
      yield { field: 'queue', message: `names no queue: there is ${[...this.#queues].join(', ')}` };
    for (const field of ['resume_only', 'fork'] as const)
      if (request[field] === true && request.session_id === undefined) yield { field, message: 'needs a `session_id`' };
    yield* faultsOfAttachments(request.attachments);
    const { missing } = serversFor(mcpServers.current, request.mcp_servers ?? [], owner);
    if (missing.length > 0)
      yield {
        field: 'mcp_servers',
        message: `there is none named ${missing.join(', ')} in KSI_MCP_SERVERS for ${owner}`,
      };
  }

  /** What is not on this host is left to the workers, which may be elsewhere. */
  async #faultsOfWorkspace({ workspace }: SpawnRequest): Promise<Fault[]> {
    if (workspace === undefined) return [];
    const found = await this.#options.workspaces.find(workspace);
    return found.kind === 'refused' ? [{ field: 'workspace', message: found.why }] : [];
  }

  /** @throws {ApiError} session_not_found, workspace_mismatch */
  async checkSession({ sessionId }: SessionChoice, request: SpawnRequest, principal: Principal): Promise<void> {
    const known = await this.#ownerOf(sessionId);
    // Another owner's session is as unknown as none.
    if (known !== undefined && !maySee(principal, known))
      throw new ApiError('session_not_found', 'There is no such session');
    try {
      if (request.workspace !== undefined) await this.#checkFolder(sessionId, request.workspace);
      if (request.resume_only !== true || known !== undefined || (await this.#stands(sessionId))) return;
    } catch (error) {
      throw apiErrorOf(error);
    }
    throw new ApiError('session_not_found', `There is no session ${request.session_id}`);
  }

  /**
   * @param sessionId of the session to go on from.
   * @returns the workspace that it works in; undefined: a folder of its own.
   * @throws {ApiError} session_not_found
   */
  async checkFork(sessionId: string, principal: Principal): Promise<string | undefined> {
    const known = await this.#ownerOf(sessionId);
    const mine = known === undefined ? principal.seesAll : maySee(principal, known);
    const stands = mine && (await guarded(() => this.#stands(sessionId)));
    if (!stands) throw new ApiError('session_not_found', `There is no session ${sessionId} to go on from`);
    return guarded(() => this.#folderOf(sessionId));
  }

  /** The worker decides, when the session begins; what has begun is told here already. */
  async #checkFolder(sessionId: string, asked: string): Promise<void> {
    const [folder, transcript] = await Promise.all([
      this.#folderOf(sessionId),
      lastBySubject(this.#options.broker, STREAM.transcripts, SUBJECT.transcript(sessionId)),
    ]);
    if (folder === asked || (folder === undefined && transcript === undefined)) return;
    throw new ApiError(
      'workspace_mismatch',
      `The session works in ${folder ?? 'a folder of its own'}, not in ${asked}`,
    );
  }

  /** The workspace that a session works in. @throws {BrokerError} */
  async #folderOf(sessionId: string): Promise<string | undefined> {
    return boundWorkspace(this.#options.broker, sessionId);
  }

  /** Whose a session is; undefined: nobody's yet. @throws {ApiError} */
  async #ownerOf(sessionId: string): Promise<string | undefined> {
    const { model, records } = this.#options;
    const session = await model.session(sessionId);
    if (session !== undefined) return session.owner;
    return guarded(() => records.ownerOf(sessionId));
  }

  /** Whether the broker knows a session that the read model does not: another API may have begun it a moment ago. */
  async #stands(sessionId: string): Promise<boolean> {
    const { broker } = this.#options;
    const stored = await Promise.all([
      lastBySubject(broker, STREAM.transcripts, SUBJECT.transcript(sessionId)),
      lastBySubject(broker, STREAM.commands, SUBJECT.session(sessionId)),
    ]);
    return stored.some((message) => message !== undefined);
  }
}
