import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json as readJson } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseAnswer, type Answer } from './answer.js';
import { readConversation, type Conversation } from './conversation.js';
import { errorBody, sse, streamEvents, wholeMessage } from './frames.js';

export interface MessagesStandinOptions {
  /** Default: a free port. */
  readonly port?: number;
  /** Milliseconds between two deltas. Default: 5. */
  readonly deltaMs?: number;
  /** Replaces the last user prompt, with its directives. @param body the whole request @returns undefined to keep the prompt */
  readonly script?: (conversation: Conversation, body: unknown) => string | undefined;
  /** @returns the text of an error with status 400, or undefined to answer normally */
  readonly refuse?: (body: unknown) => string | undefined;
  /** How many of the last requests to keep. Default: 1,000. */
  readonly keep?: number;
}

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  /** Absent if the request is not for a message. */
  readonly conversation?: Conversation;
}

export interface MessagesStandin {
  /** For ANTHROPIC_BASE_URL. */
  readonly url: string;
  /** The last requests, oldest first. */
  readonly requests: readonly RecordedRequest[];
  /** Resolves with the first past or future request that matches. Rejects if the stand-in stops first. */
  waitFor(matches: (request: RecordedRequest) => boolean): Promise<RecordedRequest>;
  /** Continues all requests that hang now. */
  release(): void;
  stop(): Promise<void>;
}

/** Starts a stand-in for the Messages API on loopback. Directives in prompts (directives.ts) control its answers. */
export async function startMessagesStandin(options: MessagesStandinOptions = {}): Promise<MessagesStandin> {
  const standin = new Standin(options);
  await standin.start(options.port ?? 0);
  return standin;
}

interface Waiter {
  readonly matches: (request: RecordedRequest) => boolean;
  readonly resolve: (request: RecordedRequest) => void;
  readonly reject: (error: Error) => void;
}

class Standin implements MessagesStandin {
  readonly requests: RecordedRequest[] = [];
  url = '';
  readonly #options: MessagesStandinOptions;
  readonly #server: Server;
  readonly #waiters = new Set<Waiter>();
  readonly #hanging = new Set<() => void>();
  readonly #failures = new Map<string, number>();
  #stopped: Promise<void> | undefined;

  constructor(options: MessagesStandinOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        // Several directives make the client disconnect. Other errors become the answer.
        if (response.destroyed) return;
        if (response.headersSent) response.destroy();
        else sendJson(response, 500, errorBody(500, `KSI's stand-in failed: ${String(error)}`));
      });
    });
  }

  async start(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  waitFor(matches: (request: RecordedRequest) => boolean): Promise<RecordedRequest> {
    const known = this.requests.find(matches);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve, reject) => this.#waiters.add({ matches, resolve, reject }));
  }

  release(): void {
    for (const go of this.#hanging) go();
    this.#hanging.clear();
  }

  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      for (const waiter of this.#waiters) waiter.reject(new Error('The Messages API stand-in was stopped.'));
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    return this.#stopped;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const path = (request.url ?? '/').replace(/\?.*$/, '');
    const body = await readBody(request);
    const conversation = this.#understand(readConversation(body), body);
    this.#record({ method, path, headers: request.headers, body, ...(conversation && { conversation }) });
    if (method === 'HEAD') return void response.writeHead(200).end();
    if (method !== 'POST' || !path.startsWith('/v1/messages')) {
      return sendJson(response, 404, errorBody(404, `KSI's stand-in has no ${method} ${path}`));
    }
    if (conversation === undefined) return sendJson(response, 400, errorBody(400, 'messages: must be a list'));
    if (path.endsWith('/count_tokens')) return sendJson(response, 200, { input_tokens: conversation.inputTokens });
    const refused = this.#options.refuse?.(body);
    if (refused !== undefined) return sendJson(response, 400, errorBody(400, refused));
    await this.#answer(conversation, request, response);
  }

  async #answer(conversation: Conversation, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const disconnected = new AbortController();
    response.once('close', () => disconnected.abort(new Error('The client disconnected.')));
    const key = JSON.stringify([request.headers['x-claude-code-session-id'], conversation.prompts]);
    const failures = this.#failures.get(key) ?? 0;
    const answer = chooseAnswer(conversation, failures);
    if (answer.delayMs > 0) await sleep(answer.delayMs, undefined, { signal: disconnected.signal });
    if (answer.kind === 'error') {
      this.#failures.set(key, failures + 1);
      const { code, headers } = answer.status;
      return sendJson(response, code, errorBody(code), headers);
    }
    if (answer.hang === 'before') await this.#hang(disconnected.signal);
    if (conversation.stream) await this.#stream(answer, conversation, response, disconnected.signal);
    else if (answer.die) response.destroy();
    else sendJson(response, 200, wholeMessage(answer.block, conversation.model, conversation.inputTokens));
  }

  async #stream(
    answer: Extract<Answer, { kind: 'message' }>,
    { model, inputTokens }: Conversation,
    response: ServerResponse,
    disconnected: AbortSignal,
  ): Promise<void> {
    const deltaMs = this.#options.deltaMs ?? 5;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    let deltas = 0;
    for (const event of streamEvents(answer.block, model, inputTokens)) {
      await write(response, sse(event));
      if (event.type !== 'content_block_delta') continue;
      deltas += 1;
      if (deltas === 2 && answer.hang === 'mid') await this.#hang(disconnected);
      if (deltas === 2 && answer.die) return void response.destroy();
      if (deltaMs > 0) await sleep(deltaMs, undefined, { signal: disconnected });
    }
    response.end();
  }

  #hang(disconnected: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      disconnected.addEventListener('abort', () => {
        this.#hanging.delete(resolve);
        reject(disconnected.reason as Error);
      });
      this.#hanging.add(resolve);
    });
  }

  #understand(conversation: Conversation | undefined, body: unknown): Conversation | undefined {
    const scripted = conversation && this.#options.script?.(conversation, body);
    if (conversation === undefined || scripted === undefined) return conversation;
    return { ...conversation, prompts: [...conversation.prompts.slice(0, -1), scripted] };
  }

  #record(request: RecordedRequest): void {
    this.requests.push(request);
    if (this.requests.length > (this.#options.keep ?? 1000)) this.requests.shift();
    for (const waiter of this.#waiters) {
      if (!waiter.matches(request)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(request);
    }
  }
}

/** Resolves when the text was sent, so that a cut comes after it. Rejects if the client has disconnected. */
function write(response: ServerResponse, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  try {
    return await readJson(request);
  } catch (error) {
    // The caller answers 400 if it needs a body.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function sendJson(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify(body));
}
