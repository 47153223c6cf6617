import { Transform, type TransformCallback } from 'node:stream';

/** What stands for a line break within the one line that is edited. */
export const BREAK = '↵';

const CTRL_C = '\u0003';
const PASTE_BEGIN = '\u001B[200~';
const PASTE_END = '\u001B[201~';
/** A longer paste is shown by its size: a line editor would draw it anew for each of its characters. */
const MOST_SHOWN = 500;
const MOST_LINES_SHOWN = 5;

interface Editing {
  /** The line is shown, so keys go to it; else they are told to `onTyping` first. */
  isShown(): boolean;
  /** What stands before the cursor. */
  beforeCursor(): string;
  /** The first key while no line is shown: shows one. */
  onTyping(): void;
  /** Ctrl-C while no line is shown. */
  onInterrupt(): void;
}

/**
 * Stands between the terminal and node:readline, which edits one line: makes line breaks of a paste, and one after a backslash, part of the line, and
 * keeps back what is pressed while no line is shown and isn't the beginning of one.
 */
export class Keys extends Transform {
  readonly isTTY = true;
  readonly #terminal: NodeJS.ReadStream;
  readonly #editing: Editing;
  readonly #pastes = new Map<string, string>();
  #torn = '';
  /** What was pasted so far, while a paste is under way. */
  #paste: string | undefined;

  constructor(terminal: NodeJS.ReadStream, editing: Editing) {
    super({ encoding: 'utf8', decodeStrings: false });
    this.#terminal = terminal;
    this.#editing = editing;
  }

  /** As readline asks of a terminal. */
  setRawMode(on: boolean): this {
    this.#terminal.setRawMode(on);
    return this;
  }

  /** The text that a line stands for: with its line breaks, and what was pasted. */
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
    this.#give(this.#shown(text.slice(0, at)));
    return text.slice(at + PASTE_END.length);
  }

  #shown(pasted: string): string {
    const text = pasted
      .replace(/\r\n?/g, '\n')
      .replace(/\n$/, '')
      .replaceAll('\t', '  ')
      .replace(/[^\P{Cc}\n]/gu, '');
    const lines = text.split('\n').length;
    if (text.length <= MOST_SHOWN && lines <= MOST_LINES_SHOWN) return text.replaceAll('\n', BREAK);
    const sign = `[pasted ${this.#pastes.size + 1}: ${lines} line${lines === 1 ? '' : 's'}]`;
    this.#pastes.set(sign, text);
    return sign;
  }

  #give(text: string): void {
    if (this.#editing.isShown()) this.push(text);
    else if (text.includes(CTRL_C)) for (let n = text.split(CTRL_C).length - 1; n > 0; n--) this.#editing.onInterrupt();
    else {
      // Keys that move or delete have nothing to do yet, and Enter would only scroll.
      const begin = text.startsWith('\u001B') ? -1 : text.search(/\P{Cc}/u);
      if (begin === -1) return;
      this.#editing.onTyping();
      this.push(text.slice(begin));
    }
  }
}

/** The beginning of a sign of pastes at the end of a chunk; Escape alone is a key. */
function tornFrom(chunk: string): string {
  for (let length = PASTE_BEGIN.length - 1; length > 1; length--) {
    const end = chunk.slice(-length);
    if (end.length === length && (PASTE_BEGIN.startsWith(end) || PASTE_END.startsWith(end))) return end;
  }
  return '';
}

const BACKSPACE = '\u007F';

/** A backslash and Enter are a line break. @param before the line ends with a backslash already. */
function continued(typed: string, before: boolean): string {
  const text = before && typed.startsWith('\r') ? `${BACKSPACE}${BREAK}${typed.slice(1)}` : typed;
  return text.replaceAll('\\\r', BREAK);
}
