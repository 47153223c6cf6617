import { paint } from './colour.js';
import { duration } from './times.js';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/** The frame time. It suits slow connections; shorter waits show no spinner. */
const FRAME_MS = 200;
const CLEAR_LINE = '\r\u001B[2K';

/** A transient line on a terminal that shows a label and the elapsed time. Without a terminal it does nothing. */
export class Spinner implements Disposable {
  readonly #stream: NodeJS.WriteStream;
  readonly #enabled: boolean;
  readonly #since = performance.now();
  #label = '';
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;
  #drawn = false;

  /** @param enabled false: never show it. */
  constructor(stream: NodeJS.WriteStream, enabled: boolean) {
    this.#stream = stream;
    this.#enabled = enabled && stream.isTTY && process.env['TERM'] !== 'dumb';
  }

  /** Shows the spinner with a label. */
  show(label: string): void {
    this.label(label);
    if (!this.#enabled || this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#timer.unref();
  }

  /** Changes the label without showing the spinner. */
  label(text: string): void {
    this.#label = text;
  }

  /** Hides the spinner until the next `show`. */
  clear(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#drawn) this.#stream.write(CLEAR_LINE);
    this.#drawn = false;
  }

  /** Writes whole lines above the spinner. */
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
