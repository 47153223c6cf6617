/** A server-sent event. */
export interface ServerSentEvent {
  readonly id: string | undefined;
  readonly data: string;
}

/**
 * Reads server-sent events (WHATWG HTML). Supports the fields that KSI sends, `id` and `data`, and skips all others.
 * @param onChunk called for each received chunk, including heartbeats
 */
export async function* readServerSentEvents(
  body: ReadableStream<Uint8Array>,
  onChunk: () => void = () => undefined,
): AsyncGenerator<ServerSentEvent> {
  let rest = '';
  let id: string | undefined;
  let data: string[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of chunksOf(body)) {
    onChunk();
    // Split only the new chunk: a line may have megabytes, in many chunks.
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
    await reader.cancel().catch(() => undefined); // The stream has failed or ended.
  }
}
