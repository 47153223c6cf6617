import { createInterface, type Interface } from 'node:readline';
import { BREAK, Keys } from './keys.js';
import { printable } from '../output/printable.js';

export interface EditorEvents {
  /** A line was entered. */
  readonly onEntry: (text: string) => void;
  /** A key was pressed while the line is hidden: call `show`. */
  readonly onTyping: () => void;
  /** The line became empty. */
  readonly onEmptied: () => void;
  /** Ctrl-C was pressed while the line is empty or hidden. */
  readonly onInterrupt: () => void;
  /** Ctrl-D was pressed on an empty line, or the terminal was closed. */
  readonly onEnd: () => void;
}

export interface EditorOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** Newest first. */
  readonly history: readonly string[];
  readonly onHistory: (entry: string) => void;
  /** Returns completions and the end of the line that they replace. */
  readonly complete: (line: string) => [string[], string];
}

const BRACKETED_PASTE = { on: '\u001B[?2004h', off: '\u001B[?2004l' };

/** The input line at the bottom of a chat. It can be hidden. */
export class Editor implements Disposable {
  readonly #options: EditorOptions;
  readonly #events: EditorEvents;
  readonly #keys: Keys;
  readonly #lines: Interface;
  #drawn = false;
  /** Whether the entered line is added to the history. Answers to questions are not. */
  #remembers = true;
  #closed = false;

  constructor(options: EditorOptions, events: EditorEvents) {
    this.#options = options;
    this.#events = events;
    const { input, output } = options;
    this.#keys = new Keys(input, {
      isShown: () => this.#drawn,
      beforeCursor: () => this.#lines.line.slice(0, this.#lines.cursor),
      onTyping: events.onTyping,
      onInterrupt: events.onInterrupt,
    });
    input.setEncoding('utf8');
    input.pipe(this.#keys);
    this.#lines = createInterface({
      input: this.#keys,
      output,
      terminal: true,
      history: options.history.map((entry) => entry.replaceAll('\n', BREAK)),
      historySize: 1_000,
      removeHistoryDuplicates: true,
      completer: options.complete,
      escapeCodeTimeout: 100,
    });
    this.#lines.on('line', (line) => this.#entered(line));
    this.#lines.on('SIGINT', () => this.#interrupted());
    this.#lines.on('history', (history) => this.#changed(history));
    this.#lines.on('close', () => {
      if (!this.#closed) events.onEnd();
    });
    this.#keys.on('keypress', () => {
      if (this.#drawn && this.#lines.line === '') events.onEmptied();
    });
    output.write(BRACKETED_PASTE.on);
  }

  get isShown(): boolean {
    return this.#drawn;
  }

  /** Shows the line. @param begin initial text; control characters are removed from it. @param remembers whether the entered line is added to the history. */
  show(prompt: string, begin = '', remembers = true): void {
    this.#drawn = true;
    this.#remembers = remembers;
    this.#lines.setPrompt(prompt);
    this.#lines.prompt();
    if (begin !== '')
      this.#lines.write(printable(begin.replace(/\r\n?|[\u2028\u2029]/g, '\n')).replaceAll('\n', BREAK));
  }

  /** Hides the line and clears its text. */
  hide(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    if (this.#lines.line !== '') this.#lines.write(null, { ctrl: true, name: 'e' });
    if (this.#lines.line !== '') this.#lines.write(null, { ctrl: true, name: 'u' });
    this.#options.output.write('\r\u001B[2K');
  }

  /** Hides the line. @returns its text. */
  take(): string {
    const text = this.#drawn ? this.#keys.textOf(this.#lines.line) : '';
    this.hide();
    return text;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#options.output.write(BRACKETED_PASTE.off);
    this.#lines.close();
    this.#options.input.unpipe(this.#keys);
    this.#options.input.pause();
  }

  #entered(line: string): void {
    this.#drawn = false;
    this.#events.onEntry(this.#keys.textOf(line));
  }

  #interrupted(): void {
    if (this.#lines.line === '') return this.#events.onInterrupt();
    this.#lines.write(null, { ctrl: true, name: 'e' });
    this.#lines.write(null, { ctrl: true, name: 'u' });
    this.#events.onEmptied();
  }

  /** Called after readline has added the line as the first entry. */
  #changed(history: string[]): void {
    const [line] = history;
    if (line === undefined) return;
    if (!this.#remembers) {
      history.shift();
      return;
    }
    this.#options.onHistory(this.#keys.textOf(line));
  }
}
