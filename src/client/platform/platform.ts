/** What a client needs of where it runs, and Node and browsers have each in their own way. */
export interface Platform {
  /** Whether a WebSocket can carry no header, so that it is let in by a ticket. */
  readonly needsTickets: boolean;
  /** As the `fetch` of the standard. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Opens a WebSocket. Nothing of it throws: what goes wrong is told to `listener`. */
  openSocket(url: string, token: string, listener: SocketListener): Socket;
  /** Ends its connections. Idempotent. */
  close(): Promise<void>;
}

export interface Socket {
  /** Does nothing unless it is open. */
  send(text: string): void;
  /** The reader is behind: as little as possible more, until `resume`. */
  pause(): void;
  resume(): void;
  /** At once. */
  end(): void;
}

export interface SocketListener {
  opened(): void;
  message(text: string): void;
  /** There was a sign of life, of the protocol's own. */
  alive(): void;
  /** It was refused with an HTTP answer, where that can be seen. */
  refused(status: number, body: string): void;
  /** Always the last, and with the error if there was one. */
  closed(error: unknown): void;
}
