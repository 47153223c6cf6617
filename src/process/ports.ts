import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** Whether a server could listen on the port a moment ago. */
export async function isPortFree(host: string, port: number): Promise<boolean> {
  return (await listenBriefly(host, port)) !== undefined;
}

/** Returns `preferred` if it is free, otherwise a port that the system picks. */
export async function freePort(host: string, preferred = 0): Promise<number> {
  const port = (await listenBriefly(host, preferred)) ?? (await listenBriefly(host, 0));
  if (port === undefined) throw new Error(`no port is free on ${host}`);
  return port;
}

async function listenBriefly(host: string, port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE' || code === 'EACCES') return undefined;
    throw error;
  }
  const taken = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
  return taken;
}
