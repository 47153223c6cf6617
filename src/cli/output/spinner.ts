import { paint } from './colour.js';
import { duration } from './times.js';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/** Often enough to live, and seldom enough for a slow line; what is done sooner is waited for without one. */
const FRAME_MS = 200;
const CLEAR_LINE = '\r\u001B[2K';

/** A line on a terminal that says what is waited for and since when. It takes no part in what is kept: off a terminal it is nothing. */
export class Spinner implements Disposable {
  readonly #stream: NodeJS.WriteStream;
  readonly #enabled: boolean;
  readonly #since = performance.now();
  #label = '';
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;
  #drawn = false;

  /** @param enabled false: it shows nothing, whatever the stream is. */
  constructor(stream: NodeJS.WriteStream, enabled: boolean) {
    this.#stream = stream;
    this.#enabled = enabled && stream.isTTY && process.env['TERM'] !== 'dumb';
  }

  /** Shows it, with what is going on. */
  show(label: string): void {
    this.label(label);
    if (!this.#enabled || this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#timer.unref();
  }

  /** What is going on; it is not shown for that, if it isn't. */
  label(text: string): void {
    this.#label = text;
  }

  /** Takes it away; `show` brings it back. */
  clear(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#drawn) this.#stream.write(CLEAR_LINE);
    this.#drawn = false;
  }

  /** Writes whole lines to its terminal, above it. */
  aside(write: () => void): void {
    const isShown = this.#timer !== undefined;
    this.clear();
    write();
    if (isShown) this.show(this.#label);
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  #draw(): void {
    this.#drawn = true;
    const frame = FRAMES[this.#frame++ % FRAMES.length] ?? '';
    const text = `${frame} ${this.#label} ${duration((performance.now() - this.#since) / 1_000)}`;
    this.#stream.write(`${CLEAR_LINE}${paint('dim', text, this.#stream)}`);
  }
}
