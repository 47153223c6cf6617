import { once } from 'node:events';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { isEnded, statusOfEvent } from '../../../../contracts/tasks/states.js';
import { EventPage, TaskEventsQuery } from '../../../../contracts/events/pages.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import { TaskParams } from '../../../../contracts/tasks/task.js';
import { MAX_BUFFERED_BYTES } from '../../../../contracts/api/ws.js';
import { SUBJECT } from '../../../../contracts/wire/names.js';
import { onAbort } from '../../../abort.js';
import type { BridgedEvent } from '../../../events/bridged.js';
import { Feed } from '../../../events/feed.js';
import type { ApiContext } from '../../context.js';
import { settledSequenceOf } from '../../../tasks/event-cursor.js';
import { eventPage } from '../../../tasks/event-page.js';
import type { Principal } from '../../../access/principal.js';
import { principalOf } from '../request-principal.js';

const HEARTBEAT_MS = 15_000;

export function taskEventRoutes(app: FastifyInstance, context: ApiContext): void {
  const { hub, tasks } = context;
  app.get<{ Params: TaskParams; Querystring: TaskEventsQuery }>(
    '/tasks/:id/events',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Events'],
        summary: "A task's events",
        description:
          'JSON: what there is. With `Accept: text/event-stream` live until the outcome; `Last-Event-ID` resumes.',
        params: TaskParams,
        querystring: TaskEventsQuery,
        response: { 200: EventPage, '4xx': Problem },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const task = await tasks.task(id, principalOf(request));
      const resumed = request.headers['last-event-id'];
      const since = typeof resumed === 'string' && resumed !== '' ? resumed : request.query.since;
      const after = since === undefined ? 0 : await settledSequenceOf(since, hub);
      if (request.headers.accept?.includes('text/event-stream') === true) {
        await new EventStream(context, reply, id, principalOf(request)).run(after, task.ended_at !== undefined);
        return reply;
      }
      const { events, more } = await eventPage(hub, id, after, request.query.limit);
      return reply
        .type('application/json; charset=utf-8')
        .serializer((text: string) => text)
        .send(
          `{"events":[${events.map(({ envelope }) => envelope).join(',')}]${more === undefined ? '' : `,"cursor":"${more}"`}}`,
        );
    },
  );
}

/** Server-sent events of one task, which end with its outcome. */
class EventStream {
  readonly #context: ApiContext;
  readonly #reply: FastifyReply;
  readonly #id: string;
  readonly #principal: Principal;

  constructor(context: ApiContext, reply: FastifyReply, id: string, principal: Principal) {
    this.#context = context;
    this.#principal = principal;
    this.#reply = reply;
    this.#id = id;
  }

  async run(after: number, ended: boolean): Promise<void> {
    const { hub, limit, metrics, closing, log, authenticator } = this.#context;
    const headers = Object.entries(this.#reply.getHeaders());
    const { raw } = this.#reply.hijack();
    for (const [name, value] of headers) if (value !== undefined) raw.setHeader(name, value);
    const end = (): void => void raw.end();
    let unread = 0;
    raw.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
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
        // An ended task whose outcome is not in the stream any more has nothing to wait for.
        live: () => {
          if (ended) end();
        },
      },
    });
    const left = metrics.connected();
    const heartbeat = setInterval(() => {
      const before = unread;
      unread = raw.writableLength;
      // None of it has left since the last heartbeat: a client that is gone, or as good as. It resumes from its last event id.
      if (before > 0 && unread >= before) raw.destroy();
      else if (!raw.writableEnded) raw.write(': alive\n\n');
    }, HEARTBEAT_MS);
    const unhear = onAbort(closing, end);
    const unwatch = authenticator.onEnd(this.#principal, end);
    raw.once('close', () => {
      unhear();
      unwatch();
      clearInterval(heartbeat);
      feed.stop();
      left();
    });
    try {
      await feed.start(after);
    } catch (error) {
      // The client resumes from its last event id.
      log.warn({ err: error, task_id: this.#id }, 'an event stream is broken off');
      raw.destroy();
    }
  }

  #send(event: BridgedEvent): void {
    const { raw } = this.#reply;
    if (raw.writableEnded) return;
    raw.write(`id: ${event.cursor}\nevent: ${event.type}\ndata: ${event.envelope}\n\n`);
    const status = statusOfEvent(event.type);
    if (status !== undefined && isEnded(status)) raw.end();
    else if (raw.writableLength > MAX_BUFFERED_BYTES) raw.destroy();
  }
}
