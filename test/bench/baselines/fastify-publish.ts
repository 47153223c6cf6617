import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { benchBroker } from '../bench-broker.js';

/** The baseline of the accept path: a bare Fastify whose one route publishes the body once and waits for the acknowledgement. */
const broker = await benchBroker(process.env);
await broker.jsm.streams.add({ name: 'BENCH', subjects: ['ksi.bench.>'] });
const app = Fastify();
app.post('/spawn', async (request, reply) => {
  const id = randomUUID();
  await broker.js.publish(`ksi.bench.${id}`, JSON.stringify(request.body));
  return reply.code(202).send({ task_id: id, status: 'queued' });
});
const url = await app.listen({ host: '127.0.0.1', port: 0 });
process.stdout.write(`${JSON.stringify({ url })}\n`);
process.once('SIGTERM', () => {
  void app
    .close()
    .then(() => broker.close())
    .then(() => process.exit(0));
});
