import type { Piece } from '../output/answer.js';
import { paint } from '../output/colour.js';
import { printable } from '../output/printable.js';
import { Spinner } from '../output/spinner.js';

type Format = 'dim' | 'red' | 'yellow';

/** The output above the input line. While the line is shown, output is held back so that it does not disturb the line. */
export class Screen {
  readonly #output: NodeJS.WriteStream;
  #spinner: Spinner | undefined;
  #label = '';
  #held: (() => void)[] | undefined;
  /** The last output did not end with a line break. */
  #open = false;
  /** This class ended the last line; the line's own break may still follow. */
  #ended = false;

  constructor(output: NodeJS.WriteStream) {
    this.#output = output;
  }

  write(pieces: readonly Piece[]): void {
    if (pieces.length > 0) this.#do(() => pieces.forEach((piece) => this.#piece(piece)));
  }

  /** Writes a line that is not part of Claude's answer. */
  note(text: string, format: Format = 'dim'): void {
    this.#do(() => {
      this.#endLine();
      this.#put(`${printable(text)}\n`, format);
    });
  }

  /** Shows a spinner with a label whenever nothing is being written. */
  work(label: string): void {
    this.#label = label;
    this.#spinner ??= new Spinner(this.#output, true);
    if (this.#held === undefined && !this.#open) this.#spinner.show(label);
  }

  rest(): void {
    this.#spinner?.clear();
    this.#spinner = undefined;
  }

  /** Holds back further output, before the input line is shown. */
  hold(): void {
    if (this.#held !== undefined) return;
    this.#spinner?.clear();
    this.#endLine();
    this.#held = [];
  }

  /** Writes held-back output, after the input line was hidden. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const write of held) write();
    if (this.#spinner !== undefined) this.work(this.#label);
  }

  #do(write: () => void): void {
    if (this.#held !== undefined) return void this.#held.push(write);
    this.#spinner?.clear();
    write();
    if (this.#spinner !== undefined) this.work(this.#label);
  }

  #piece({ to, text }: Piece): void {
    const late = this.#ended && text === '\n';
    this.#ended = false;
    if (late) return;
    this.#put(printable(text), to === 'stdout' ? undefined : 'dim');
  }

  #endLine(): void {
    if (!this.#open) return;
    this.#put('\n');
    this.#ended = true;
  }

  #put(text: string, format?: Format): void {
    this.#output.write(format === undefined ? text : paint(format, text, this.#output));
    this.#open = !text.endsWith('\n');
  }
}
