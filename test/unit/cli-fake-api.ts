import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { WebSocketServer, type WebSocket } from 'ws';
import type { ApprovalRule } from '../../contracts/tasks/approval-rules.js';
import type { ApprovalResolved } from '../../contracts/tasks/approvals.js';
import { API_ERRORS, type ApiErrorCode } from '../../contracts/wire/errors.js';
import type { Problem } from '../../contracts/wire/problem.js';
import type { Page } from '../../contracts/wire/page.js';
import type { EventEnvelope, SpawnDelta } from '../../contracts/events/events.js';
import type { ClientFrame, ServerFrame } from '../../contracts/api/ws.js';

export const TASK = '01900000-0000-7000-8000-000000000001';
/** Of another task, that was given up too. */
export const OTHER = '01900000-0000-7000-8000-000000000002';
/** Of the task that one becomes which is run again. */
export const AGAIN = '01900000-0000-7000-8000-000000000003';
export const SESSION = '5f1c1f6e-0d0e-4c1a-9a3e-6b5c2f7d4a10';

type Subscribe = Extract<ClientFrame, { op: 'subscribe' }>;
/** What a subscriber is told, in order; `break` ends its connection, once. */
type Play = EventEnvelope | Extract<ServerFrame, { op: 'gap' }> | (SpawnDelta & { subject: string }) | 'break';

const TASK_BODY = {
  task_id: TASK,
  session_id: SESSION,
  owner: 'local',
  status: 'queued',
  queue: 'default',
  priority: 'normal',
  prompt_preview: 'Say hello',
  created_at: new Date().toISOString(),
  attempt: 0,
};

const ACCEPTED = { task_id: TASK, session_id: SESSION, status: 'queued', message: 'queued', since: 'i-0' };

const letterOf = (id: string) => ({
  task_id: id,
  session_id: SESSION,
  owner: 'local',
  queue: 'default',
  given_up: 'attempts_exhausted',
  timestamp: new Date().toISOString(),
  error: { code: 'claude_crashed', message: 'It died.', retryable: true },
});

/** As the API's: a cursor only for one who named a limit, when there may be more. */
function page(events: readonly EventEnvelope[], query: URLSearchParams): Page<EventEnvelope> {
  const after = Number(query.get('cursor')?.split('-').at(-1) ?? 0);
  const limit = Number(query.get('limit') ?? 1_000);
  const found = events.filter(({ seq }) => seq > after).slice(0, limit);
  const last = found.length === limit ? found.at(-1) : undefined;
  return { items: found, ...(last === undefined ? {} : { next_cursor: last.cursor }) };
}

/** An API with one task, whose events are those that a test says. */
export class FakeApi {
  plays: Play[] = [];
  /** A code that subscriptions are refused with. */
  refuses: string | undefined;
  spawned: unknown;
  /** Idempotency keys of the spawns, in order. */
  keys: (string | undefined)[] = [];
  /** What becomes of the next requests: an error, or no answer at all. */
  faults: (Problem | 'lost')[] = [];
  dead = new Set<string>();
  /** What the last page of a deletion by filter waits for. */
  lastPage: Promise<void> | undefined;
  asked = '';
  /** What is another of the task than it was. */
  task: Record<string, unknown> = {};
  rules: ApprovalRule[] = [];
  /** The last answer to an approval. */
  approved: unknown;
  /** What became of the rule that an answer asks for. */
  ruled: Pick<ApprovalResolved, 'rule_id' | 'rule_error'> = {};
  /** Methods and addresses of all requests, in order. */
  requests: string[] = [];
  subscribed: Subscribe = { op: 'subscribe', id: '', subjects: [] };
  readonly #server = createServer((request, answer) => void this.#answer(request, answer));
  readonly #sockets = new WebSocketServer({ server: this.#server });
  readonly #changes = new EventEmitter();
  readonly #subscribed = new Set<WebSocket>();
  #seq = 0;

  static async start(): Promise<FakeApi> {
    const api = new FakeApi();
    api.#sockets.on('connection', (socket) =>
      socket.on('message', (data) => api.#play(socket, JSON.parse((data as Buffer).toString()) as Subscribe)),
    );
    api.#server.listen(0, '127.0.0.1');
    await once(api.#server, 'listening');
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#sockets.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  reset(): void {
    this.plays = [];
    this.refuses = undefined;
    this.keys = [];
    this.faults = [];
    this.requests = [];
    this.task = {};
    this.rules = [];
    this.ruled = {};
    this.lastPage = undefined;
    this.dead = new Set([TASK, OTHER]);
    this.#seq = 0;
  }

  /** Waits until there are so many connections with a subscription. */
  async subscriptions(count: number): Promise<void> {
    while (this.#subscribed.size < count) await once(this.#changes, 'subscribed');
  }

  /** Tells all subscribers. */
  tell(event: EventEnvelope): void {
    for (const socket of this.#subscribed) socket.send(JSON.stringify(event));
  }

  async nextSubscription(): Promise<void> {
    await once(this.#changes, 'subscribed');
  }

  event(type: string, data: Record<string, unknown>): EventEnvelope {
    const seq = ++this.#seq;
    return {
      v: 1,
      id: String(seq),
      type,
      timestamp: new Date().toISOString(),
      seq,
      cursor: `i-${seq}`,
      subject: `ksi.events.task.${TASK}.output`,
      data: { task_id: TASK, session_id: SESSION, owner: 'local', ...data },
    };
  }

  assistant(block: unknown): EventEnvelope {
    return this.event('SPAWN_MESSAGE', { attempt: 1, message: { type: 'assistant', message: { content: [block] } } });
  }

  delta(written: string, offset: number, part = 0): SpawnDelta & { subject: string } {
    return {
      v: 1,
      type: 'SPAWN_DELTA',
      timestamp: '',
      subject: `ksi.live.task.${TASK}`,
      data: { task_id: TASK, session_id: SESSION, owner: 'local', attempt: 1, part, offset, text: written },
    };
  }

  #play(socket: WebSocket, frame: Subscribe): void {
    this.subscribed = frame;
    if (this.refuses !== undefined)
      return socket.send(JSON.stringify({ op: 'error', id: frame.id, code: this.refuses, message: 'It is so.' }));
    const after = Number(frame.since?.split('-').at(-1) ?? this.#seq);
    socket.send(JSON.stringify({ op: 'subscribed', id: frame.id, seq: after }));
    this.#subscribed.add(socket);
    socket.once('close', () => this.#subscribed.delete(socket));
    this.#changes.emit('subscribed');
    const cut = this.plays.indexOf('break');
    const now = cut === -1 ? this.plays : this.plays.splice(0, cut + 1);
    for (const play of now) {
      if (play === 'break') return socket.close(1012);
      if (!('seq' in play) || play.seq > after) socket.send(JSON.stringify(play));
    }
  }

  async #answer(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { url = '', method, headers } = request;
    const json = (status: number, body: unknown, also: Record<string, string> = {}): void =>
      void answer.writeHead(status, { 'content-type': 'application/json', ...also }).end(JSON.stringify(body));
    this.asked = url;
    this.requests.push(`${method ?? ''} ${url}`);
    if (headers.authorization !== 'Bearer good')
      return json(401, { code: 'unauthorized', status: 401, detail: 'No valid token was given.' });
    if (method === 'POST' && url === '/spawn') {
      this.spawned = JSON.parse(await text(request)) as unknown;
      this.keys.push(headers['idempotency-key'] as string | undefined);
    }
    const fault = this.faults.shift();
    if (fault === 'lost') return void request.socket.destroy();
    if (fault !== undefined) return json(fault.status, fault, { 'retry-after': '1' });
    if (method === 'POST' && url === '/spawn') {
      return json(202, ACCEPTED);
    }
    if (method === 'POST' && url === `/tasks/${TASK}/cancel`) return json(200, { ...TASK_BODY, status: 'cancelled' });
    if (method === 'POST' && url === `/tasks/${TASK}/interrupt`) return json(202, { ...TASK_BODY, status: 'running' });
    if (method === 'POST' && url === `/tasks/${TASK}/retry`) return json(202, { ...ACCEPTED, task_id: AGAIN });
    if (method === 'DELETE' && [`/tasks/${TASK}`, '/sessions/notes', '/owners/ann'].includes(url)) return json(204, '');
    if (method === 'DELETE' && url.startsWith('/tasks?')) return this.#deletePage(url, json);
    if (url.startsWith('/approvals')) return this.#answerApprovals(request, url, json);
    if (url.startsWith('/dead')) return this.#answerDead(method, url, json);
    if (url.startsWith('/tasks?')) return json(200, { items: [{ ...TASK_BODY, ...this.task }] });
    if (url === `/tasks/${TASK}`) return json(200, TASK_BODY);
    const events = this.plays.filter((play): play is EventEnvelope => play !== 'break' && 'seq' in play);
    const isEvents = url.startsWith(`/tasks/${TASK}/events`);
    if (isEvents && headers.accept === 'text/event-stream') {
      answer.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const event of events) answer.write(`id: ${event.cursor}\ndata: ${JSON.stringify(event)}\n\n`);
      return void answer.end();
    }
    if (isEvents) return json(200, page(events, new URL(url, this.url).searchParams));
    return json(404, { code: 'not_found', status: 404, detail: 'There is no such task.' });
  }

  /** Of three tasks, in two pages. */
  async #deletePage(url: string, json: (status: number, body: unknown) => void): Promise<void> {
    const { searchParams } = new URL(url, this.url);
    if (searchParams.has('dry_run')) return json(200, { deleted: 3, refused: [] });
    if (!searchParams.has('cursor')) return json(200, { deleted: 2, refused: [], next_cursor: 'more' });
    await this.lastPage;
    json(200, { deleted: 1, refused: [] });
  }

  async #answerApprovals(
    request: IncomingMessage,
    url: string,
    json: (status: number, body: unknown) => void,
  ): Promise<void> {
    if (url === '/approvals/rules') return json(200, { items: this.rules });
    if (request.method === 'DELETE') {
      const found = this.rules.findIndex(({ rule_id: id }) => url === `/approvals/rules/${id}`);
      if (found === -1) return json(404, problemOf('not_found', 'There is no such rule'));
      this.rules.splice(found, 1);
      return json(204, '');
    }
    this.approved = JSON.parse(await text(request)) as unknown;
    const answer = { approval_id: url.slice('/approvals/'.length), task_id: TASK, decision: 'allow' };
    return json(200, { ...answer, ...this.ruled });
  }

  #answerDead(method: string | undefined, url: string, json: (status: number, body: unknown) => void): void {
    const { pathname, searchParams } = new URL(url, this.url);
    const id = pathname.split('/')[2] ?? '';
    if (pathname === '/dead') {
      // A page of one, so that one who wants all must ask for each.
      const ids = [...this.dead].filter((each) => each > (searchParams.get('cursor') ?? ''));
      return json(200, { items: ids.slice(0, 1).map(letterOf), ...(ids.length > 1 ? { next_cursor: ids[0] } : {}) });
    }
    if (url === '/dead/retry') {
      const refused = [{ task_id: OTHER, code: 'queue_full', detail: 'The queue is full' }];
      return json(200, { retried: [{ retry_of: TASK, task_id: AGAIN }], refused });
    }
    if (!this.dead.has(id)) return json(404, problemOf('not_found', `There is no dead letter of task ${id}`));
    if (method === 'GET') {
      const history = [{ seq: 1, type: 'SPAWN_START', timestamp: 'then', data: { attempt: 1, worker_id: 'w' } }];
      return json(200, { v: 1, ...letterOf(id), command: { prompt: 'Say hello' }, history });
    }
    this.dead.delete(id);
    return json(method === 'DELETE' ? 204 : 202, { ...ACCEPTED, task_id: AGAIN });
  }
}

/** As the API says it. */
export function problemOf(code: ApiErrorCode, what: string): Problem {
  const { status, title, next } = API_ERRORS[code];
  return { type: '', title, status, code, detail: `${what}. ${next}`, request_id: 'r' };
}
