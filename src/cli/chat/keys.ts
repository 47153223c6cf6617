import { Transform, type TransformCallback } from 'node:stream';

/** Represents a line break within the edited line. */
export const BREAK = '↵';

const CTRL_C = '\u0003';
const PASTE_BEGIN = '\u001B[200~';
const PASTE_END = '\u001B[201~';
/** Longer pastes are shown as a placeholder, because readline redraws the line for every character. */
const MAX_SHOWN_CHARS = 500;
const MAX_SHOWN_LINES = 5;

interface Editing {
  /** Whether the line is shown and receives keys. */
  isShown(): boolean;
  /** The text before the cursor. */
  beforeCursor(): string;
  /** Called for the first key while the line is hidden. It must show the line. */
  onTyping(): void;
  /** Called for Ctrl-C while the line is hidden. */
  onInterrupt(): void;
}

/**
 * Filters keys between the terminal and node:readline, which edits a single line. It makes line breaks in pasted text and after a backslash part
 * of the line. While the line is hidden, it drops keys that cannot start a line.
 */
export class Keys extends Transform {
  readonly isTTY = true;
  readonly #terminal: NodeJS.ReadStream;
  readonly #editing: Editing;
  readonly #pastes = new Map<string, string>();
  #torn = '';
  /** The text of an unfinished paste. */
  #paste: string | undefined;

  constructor(terminal: NodeJS.ReadStream, editing: Editing) {
    super({ encoding: 'utf8', decodeStrings: false });
    this.#terminal = terminal;
    this.#editing = editing;
  }

  /** Called by readline. */
  setRawMode(on: boolean): this {
    this.#terminal.setRawMode(on);
    return this;
  }

  /** The text of an edited line, with its line breaks and pasted text. */
  textOf(line: string): string {
    let text = line;
    for (const [sign, pasted] of this.#pastes) text = text.replaceAll(sign, () => pasted);
    return text.replaceAll(BREAK, '\n');
  }

  override _transform(chunk: string, _encoding: BufferEncoding, done: TransformCallback): void {
    let rest = this.#torn + chunk;
    this.#torn = tornFrom(rest);
    rest = rest.slice(0, rest.length - this.#torn.length);
    while (rest !== '') rest = this.#paste === undefined ? this.#typed(rest) : this.#pasted(rest, this.#paste);
    done();
  }

  #typed(text: string): string {
    const at = text.indexOf(PASTE_BEGIN);
    const typed = at === -1 ? text : text.slice(0, at);
    if (typed !== '') this.#give(continued(typed, this.#editing.beforeCursor().endsWith('\\')));
    if (at === -1) return '';
    this.#paste = '';
    return text.slice(at + PASTE_BEGIN.length);
  }

  #pasted(chunk: string, sofar: string): string {
    const text = sofar + chunk;
    const at = text.indexOf(PASTE_END, Math.max(0, sofar.length - PASTE_END.length));
    if (at === -1) {
      this.#paste = text;
      return '';
    }
    this.#paste = undefined;
    this.#give(this.#placeholder(text.slice(0, at)));
    return text.slice(at + PASTE_END.length);
  }

  #placeholder(pasted: string): string {
    const text = pasted
      .replace(/\r\n?/g, '\n')
      .replace(/\n$/, '')
      .replaceAll('\t', '  ')
      .replace(/[^\P{Cc}\n]/gu, '');
    const lines = text.split('\n').length;
    if (text.length <= MAX_SHOWN_CHARS && lines <= MAX_SHOWN_LINES) return text.replaceAll('\n', BREAK);
    const sign = `[pasted ${this.#pastes.size + 1}: ${lines} line${lines === 1 ? '' : 's'}]`;
    this.#pastes.set(sign, text);
    return sign;
  }

  #give(text: string): void {
    if (this.#editing.isShown()) this.push(text);
    else if (text.includes(CTRL_C)) for (let n = text.split(CTRL_C).length - 1; n > 0; n--) this.#editing.onInterrupt();
    else {
      // Skip keys that move or delete, and Enter, which would only scroll.
      const begin = text.startsWith('\u001B') ? -1 : text.search(/\P{Cc}/u);
      if (begin === -1) return;
      this.#editing.onTyping();
      this.push(text.slice(begin));
    }
  }
}

/** An incomplete paste marker at the end of a chunk. Escape alone is a key. */
function tornFrom(chunk: string): string {
  for (let length = PASTE_BEGIN.length - 1; length > 1; length--) {
    const end = chunk.slice(-length);
    if (end.length === length && (PASTE_BEGIN.startsWith(end) || PASTE_END.startsWith(end))) return end;
  }
  return '';
}

const BACKSPACE = '\u007F';

/** Turns a backslash followed by Enter into a line break. @param before the line already ends with a backslash. */
function continued(typed: string, before: boolean): string {
  const text = before && typed.startsWith('\r') ? `${BACKSPACE}${BREAK}${typed.slice(1)}` : typed;
  return text.replaceAll('\\\r', BREAK);
}
