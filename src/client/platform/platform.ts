/** The functions that differ between Node and browsers. */
export interface Platform {
  /** Whether WebSockets need a ticket, because they cannot send the token as a header. */
  readonly needsTickets: boolean;
  /** The standard `fetch`. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Opens a WebSocket. Never throws: `listener` gets all errors. */
  openSocket(url: string, token: string, listener: SocketListener): Socket;
  /** Closes all connections. Idempotent. */
  close(): Promise<void>;
}

export interface Socket {
  /** Sends a frame. Does nothing unless the socket is open. */
  send(text: string): void;
  /** Stops receiving until `resume`, because the reader is behind. May end the connection. */
  pause(): void;
  resume(): void;
  /** Closes the connection at once. */
  end(): void;
}

export interface SocketListener {
  opened(): void;
  message(text: string): void;
  /** A ping arrived. */
  alive(): void;
  /** KSI refused the upgrade with an HTTP answer. Browsers do not report this. */
  refused(status: number, body: string): void;
  /** The last call. `error` is undefined after a normal close. */
  closed(error: unknown): void;
}
