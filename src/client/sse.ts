/** One server-sent event. */
export interface ServerSentEvent {
  readonly id: string | undefined;
  readonly data: string;
}

/**
 * Reads `text/event-stream` (WHATWG HTML, Server-sent events) as KSI writes it; comments and other fields are passed over.
 * @param heard called for whatever comes, heartbeats too.
 */
export async function* readServerSentEvents(
  body: ReadableStream<Uint8Array>,
  heard: () => void = () => undefined,
): AsyncGenerator<ServerSentEvent> {
  let rest = '';
  let id: string | undefined;
  let data: string[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of chunksOf(body)) {
    heard();
    // Only what is new is split: a line may be megabytes, in many chunks.
    const [first = '', ...others] = decoder.decode(chunk, { stream: true }).split('\n');
    const lines = [rest + first, ...others];
    rest = lines.pop() ?? '';
    for (const line of lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))) {
      if (line === '') {
        if (data.length > 0) yield { id, data: data.join('\n') };
        data = [];
      } else if (line.startsWith('id:')) id = line.slice(3).trim();
      else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
    }
  }
}

/** Not every browser iterates over a stream by itself. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // It broke, or is at its end.
  }
}
