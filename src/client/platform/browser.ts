import type { Platform, Socket, SocketListener } from './platform.js';

/** The part of a browser's WebSocket that this client uses. */
interface BrowserSocket {
  readonly readyState: number;
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  send(text: string): void;
  close(): void;
}

const OPEN = 1;
/** The close code after a failed or broken connection. Browsers give no details. */
const ABNORMAL = 1006;

/** Browsers. The browser manages the HTTP connections. */
export class BrowserPlatform implements Platform {
  readonly needsTickets = true;
  readonly #sockets = new Set<Socket>();

  fetch(url: string, init: RequestInit): Promise<Response> {
    // The token is the only credential, so send no cookies. Answers must not be cached.
    const withoutCookies: RequestInit & { readonly cache: string } = {
      ...init,
      credentials: 'omit',
      cache: 'no-store',
    };
    return globalThis.fetch(url, withoutCookies).catch((error: unknown) => {
      // A browser hides the reason from the page.
      const hint = "the API does not run there, or KSI_ALLOWED_ORIGINS does not name this page's origin";
      throw error instanceof TypeError ? new Error(`${error.message}: ${hint}`) : error;
    });
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
      close(code === ABNORMAL ? new Error(reason === '' ? 'the WebSocket connection failed' : reason) : undefined),
    );
    const end = (): void => {
      socket.close();
      close(undefined);
    };
    const opened: Socket = {
      send: (text) => {
        if (socket.readyState === OPEN) socket.send(text);
      },
      // A browser cannot pause a WebSocket. The client reconnects later, from the last event that was read.
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
