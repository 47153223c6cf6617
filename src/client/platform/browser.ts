import type { Platform, Socket, SocketListener } from './platform.js';

/** What is used of a browser's own WebSocket. */
interface BrowserSocket {
  readonly readyState: number;
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  send(text: string): void;
  close(): void;
}

const OPEN = 1;
/** It was never open, or broke: browsers say no more than this. */
const ABNORMAL = 1006;

/** A browser, whose connections are its own. */
export class BrowserPlatform implements Platform {
  readonly needsTickets = true;
  readonly #sockets = new Set<Socket>();

  fetch(url: string, init: RequestInit): Promise<Response> {
    // The token is all that lets one in: neither cookies nor a cache have a part in it.
    const plain: RequestInit & { readonly cache: string } = { ...init, credentials: 'omit', cache: 'no-store' };
    return globalThis.fetch(url, plain);
  }

  openSocket(url: string, _token: string, listener: SocketListener): Socket {
    const { WebSocket } = globalThis as unknown as { WebSocket: new (url: string) => BrowserSocket };
    const socket = new WebSocket(url);
    let ended = false;
    const close = (error: unknown): void => {
      if (ended) return;
      ended = true;
      this.#sockets.delete(opened);
      listener.closed(error);
    };
    socket.addEventListener('open', () => listener.opened());
    socket.addEventListener('message', ({ data }) => {
      if (!ended) listener.message(String(data));
    });
    socket.addEventListener('close', ({ code, reason }) =>
      close(code === ABNORMAL ? new Error(reason === '' ? 'the WebSocket broke' : reason) : undefined),
    );
    const end = (): void => {
      socket.close();
      close(undefined);
    };
    const opened: Socket = {
      send: (text) => {
        if (socket.readyState === OPEN) socket.send(text);
      },
      // There is no way to slow it down: it is resumed where the reader has come to.
      pause: end,
      resume: () => undefined,
      end,
    };
    this.#sockets.add(opened);
    return opened;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.end();
  }
}
