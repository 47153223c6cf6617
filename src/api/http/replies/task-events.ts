import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { isEnded, statusOfEvent } from '../../../../contracts/tasks/states.js';
import type { TaskEventsQuery } from '../../../../contracts/events/pages.js';
import type { TaskParams } from '../../../../contracts/tasks/task.js';
import { MAX_BUFFERED_BYTES } from '../../../../contracts/api/ws.js';
import { SUBJECT } from '../../../../contracts/wire/names.js';
import { shuttingDown } from '../../../errors/api-error.js';
import { onAbort } from '../../../abort.js';
import type { HubEvent } from '../../../events/hub-event.js';
import { Feed } from '../../../events/feed.js';
import type { Access } from '../../../access/start.js';
import type { Store } from '../../../store/start.js';
import type { TaskReader } from '../../../tasks/reader.js';
import type { Metrics } from '../../../telemetry/metrics.js';
import { settledSequenceOf } from '../../../tasks/event-cursor.js';
import { eventPage } from '../../../tasks/event-page.js';
import type { Principal } from '../../../access/principal.js';
import type { LiveFeed, LiveMessage } from '../../ws/live.js';
import type { Reply } from '../mount.js';
import { acceptsEventStream } from '../request-principal.js';

const HEARTBEAT_MS = 15_000;

export interface TaskEventsServices extends Pick<Store, 'hub' | 'limit'>, Pick<Access, 'authenticator'> {
  readonly tasks: TaskReader;
  readonly metrics: Metrics;
  readonly live: LiveFeed;
  readonly log: Logger;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
}

/** Answers with a page of stored events, or with a live stream if the request accepts `text/event-stream`. */
export const taskEventsReply =
  (services: TaskEventsServices): Reply =>
  async (request, reply, { principal }) => {
    const { hub, tasks } = services;
    const { id } = request.params as TaskParams;
    const query = request.query as TaskEventsQuery;
    const task = await tasks.task(id, principal);
    const resumed = request.headers['last-event-id'];
    const since = typeof resumed === 'string' && resumed !== '' ? resumed : query.cursor;
    const after = since === undefined ? 0 : await settledSequenceOf(since, hub);
    if (acceptsEventStream(request)) {
      const ended = task.ended_at !== undefined;
      // An EventSource reconnects after the end of a stream, and 204 makes it stop.
      if (ended && (await eventPage(hub, id, after, 1)).events.length === 0) return reply.code(204).send();
      await new EventStream(
        { ...services, log: services.log.child({ request_id: request.id }) },
        reply,
        id,
        principal,
      ).run(after, { ended, deltas: query.deltas === true });
      return reply;
    }
    const { events, more } = await eventPage(hub, id, after, query.limit);
    return reply
      .type('application/json; charset=utf-8')
      .serializer((text: string) => text)
      .send(
        `{"items":[${events.map(({ envelope }) => envelope).join(',')}]${more === undefined ? '' : `,"next_cursor":"${more}"`}}`,
      );
  };

/** Sends the events of one task as server-sent events, until its outcome. */
class EventStream {
  readonly #services: TaskEventsServices;
  readonly #reply: FastifyReply;
  readonly #id: string;
  readonly #principal: Principal;

  constructor(services: TaskEventsServices, reply: FastifyReply, id: string, principal: Principal) {
    this.#services = services;
    this.#principal = principal;
    this.#reply = reply;
    this.#id = id;
  }

  async run(after: number, { ended, deltas }: { readonly ended: boolean; readonly deltas: boolean }): Promise<void> {
    const { hub, limit, metrics, closing, log, authenticator, live } = this.#services;
    // `onAbort` does not call listeners that are added after the abort.
    if (closing.aborted) throw shuttingDown();
    const headers = Object.entries(this.#reply.getHeaders());
    const { raw } = this.#reply.hijack();
    for (const [name, value] of headers) if (value !== undefined) raw.setHeader(name, value);
    const end = (): void => void raw.end();
    let unread = 0;
    let leaveLive: (() => void) | undefined;
    raw.writeHead(200, {
      'content-type': 'text/event-stream',
      // Proxies buffer and compress answers by default, which would hold events back.
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      connection: 'keep-alive',
    });
    raw.write(': ksi\n\n');
    const feed = new Feed({
      hub,
      limit,
      filter: SUBJECT.taskAll(this.#id),
      matches: ({ tokens }) => tokens[2] === 'task' && tokens[3] === this.#id,
      sink: {
        deliver: (event) => this.#send(event),
        ready: () =>
          raw.writableNeedDrain && !raw.destroyed
            ? Promise.race([once(raw, 'drain'), once(raw, 'close')]).then(() => undefined)
            : undefined,
        // The outcome of an ended task may no longer be in the stream, so do not wait for it.
        live: () => {
          if (ended) end();
          // Deltas before this point belong to text that the stored events have.
          else if (deltas && !raw.destroyed) leaveLive = live.subscribe((message) => this.#sendDelta(message));
        },
      },
    });
    const disconnected = metrics.connected();
    const heartbeat = setInterval(() => {
      const before = unread;
      unread = raw.writableLength;
      // The client has read nothing since the last heartbeat. It can resume from its last event id.
      if (before > 0 && unread >= before) raw.destroy();
      else if (!raw.writableEnded) raw.write(': alive\n\n');
    }, HEARTBEAT_MS);
    const unsubscribe = onAbort(closing, end);
    const unwatch = authenticator.onEnd(this.#principal, end);
    raw.once('close', () => {
      unsubscribe();
      unwatch();
      clearInterval(heartbeat);
      feed.stop();
      leaveLive?.();
      disconnected();
    });
    try {
      await feed.start(after);
    } catch (error) {
      // The client can resume from its last event id.
      log.warn({ err: error, task_id: this.#id }, 'an event stream failed; closing it');
      raw.destroy();
    }
  }

  /** Skips the delta while the client is behind: the events have the whole text. */
  #sendDelta({ tokens: [, , , id], frame }: LiveMessage): void {
    const { raw } = this.#reply;
    if (id === this.#id && !raw.writableEnded && !raw.writableNeedDrain)
      raw.write(`event: SPAWN_DELTA\ndata: ${frame.toString()}\n\n`);
  }

  #send(event: HubEvent): void {
    const { raw } = this.#reply;
    if (raw.writableEnded) return;
    raw.write(`id: ${event.cursor}\nevent: ${event.type}\ndata: ${event.envelope}\n\n`);
    const status = statusOfEvent(event.type);
    if (status !== undefined && isEnded(status)) raw.end();
    else if (raw.writableLength > MAX_BUFFERED_BYTES) raw.destroy();
  }
}
