import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SpawnRequest } from '../../../contracts/tasks/spawn.js';
import type { KsiClient } from '../../client/client.js';
import { KsiError } from '../../client/errors.js';
import { EXIT } from '../exit.js';
import { describeAttached, findMentions } from '../mentions.js';
import { paint } from '../output/colour.js';
import { CHAT_HELP, parseEntry, type Entry } from './commands.js';
import { completeLine } from './complete-line.js';
import { CurrentSession } from './current-session.js';
import { Editor } from './editor.js';
import type { History } from './history.js';
import { Notices } from './notices.js';
import type { Step } from './question.js';
import { Questions, type Asking } from './questions.js';
import { readMessages } from './message.js';
import { Screen } from './screen.js';
import { isRefusal, Turn } from './turn.js';
import type { Ended, TurnUpdate } from './turn-view.js';
import { defined } from '../../defined.js';

export interface ChatOptions {
  readonly client: KsiClient;
  /** Options of every request. The chat adds the prompt, session and attachments. */
  readonly request: Omit<SpawnRequest, 'prompt'>;
  /** The session to continue: a UUID or name. Undefined: start a new one. */
  readonly session: string | undefined;
  /** Stores the last used session. */
  readonly remember: (session: string) => void;
  readonly history: History;
  readonly cwd: string;
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}

/** Two presses of Ctrl-C within this time leave the chat. */
const TWICE_MS = 3_000;
/** The maximum wait for an interrupt request when the user leaves. */
const STOPPING_MS = 2_000;
/** When the chat resumes a task, answers to its earlier approvals arrive within this time. */
const SETTLED_MS = 300;
const SIGNALS = ['SIGTERM', 'SIGHUP'] as const;

/** An interactive chat with Claude: sends input, shows output, and lets the user answer approvals. */
export class Chat {
  readonly #options: ChatOptions;
  readonly #screen: Screen;
  readonly #notices: Notices;
  readonly #session: CurrentSession;
  readonly #questions = new Questions();
  readonly #prompt: string;
  readonly #left = new AbortController();
  #editor: Editor | undefined;
  #turn: Turn | undefined;
  /** Input that could not be sent to the running task. It is sent next. */
  readonly #next: string[] = [];
  #lastInterrupt = -Infinity;
  /** The interrupt request in progress. */
  #stopping: Promise<void> | undefined;
  #exitCode: number = EXIT.ok;

  constructor(options: ChatOptions) {
    this.#options = options;
    this.#screen = new Screen(options.output);
    this.#notices = new Notices(this.#screen);
    this.#session = new CurrentSession(options.client, options.session);
    this.#prompt = paint('cyan', '› ', options.output);
  }

  /** Runs the chat. @returns the exit code. @throws {KsiError} @throws {KsiUnreachableError} if it cannot start. */
  async run(): Promise<number> {
    const { lines, open } = await this.#session.greet();
    this.#screen.note(lines.join('\n'));
    const left = once(this.#left.signal, 'abort');
    const end = (): void => this.#leave(EXIT.interrupted);
    for (const signal of SIGNALS) process.once(signal, end);
    using editor = this.#open();
    this.#editor = editor;
    if (open === undefined) this.#refresh();
    else void this.#work(open.status, (turn) => this.#follow(turn, open.task_id, '0', true));
    await left;
    for (const signal of SIGNALS) process.removeListener(signal, end);
    editor.hide();
    this.#screen.rest();
    this.#screen.release();
    await Promise.race([this.#stopping, sleep(STOPPING_MS, undefined, { ref: false })]);
    return this.#farewell();
  }

  #open(): Editor {
    const { input, output, history, cwd } = this.#options;
    return new Editor(
      {
        input,
        output,
        history: history.entries,
        onHistory: (entry) => this.#notices.quietly(() => history.add(entry)),
        complete: (line) => completeLine(line, cwd),
      },
      {
        onEntry: (text) => void this.#entered(text),
        onTyping: () => this.#typing(),
        onEmptied: () => this.#emptied(),
        onInterrupt: () => this.#interrupt(),
        onEnd: () => this.#leave(),
      },
    );
  }

  #typing(): void {
    this.#screen.hold();
    this.#editor?.show(this.#prompt);
  }

  #emptied(): void {
    if (this.#turn === undefined || this.#questions.asking !== undefined) return;
    this.#editor?.hide();
    this.#refresh();
  }

  async #entered(text: string): Promise<void> {
    const { asking } = this.#questions;
    if (asking !== undefined) await this.#answered(asking, text);
    else await this.#notices.reporting(() => this.#do(parseEntry(text)));
    this.#refresh();
  }

  async #do(entry: Entry): Promise<void> {
    if (entry.kind === 'unknown') {
      const near = entry.near === undefined ? '' : ` Did you mean /${entry.near}?`;
      this.#screen.note(`Unknown command /${entry.name}.${near} /help lists the commands.`, 'yellow');
    } else if (entry.kind === 'command') {
      await this.#command(entry.name, entry.argument);
    } else if (entry.text.trim() !== '') {
      await (this.#turn === undefined ? this.#say(entry.text) : this.#sayMore(this.#turn, entry.text));
    }
  }

  async #command(name: Extract<Entry, { kind: 'command' }>['name'], argument: string): Promise<void> {
    if (name === 'help') this.#screen.note(CHAT_HELP);
    else if (name === 'exit') this.#leave();
    else if (name === 'cost') this.#screen.note(await this.#session.cost());
    else if (name === 'session' && argument === '') this.#screen.note(await this.#session.describe());
    else if (this.#turn === undefined)
      this.#screen.note(await this.#session.go(argument === '' ? undefined : argument));
    else this.#screen.note('Claude is working in this session. Wait, or interrupt it with Ctrl-C.', 'yellow');
  }

  async #say(text: string): Promise<void> {
    const { client, request, cwd } = this.#options;
    const parsed = readMessages(text, cwd);
    if (typeof parsed === 'string') return this.#screen.note(`Not sent: ${parsed}`, 'red');
    const { prompt, attachments } = parsed;
    if (attachments.length > 0) this.#screen.note(`attached: ${describeAttached(attachments)}`);
    const { id } = this.#session;
    const spawnRequest = {
      ...request,
      prompt,
      ...defined({ session_id: id }),
      ...(attachments.length === 0 ? {} : { attachments: [...attachments] }),
    };
    await this.#work('sending', async (turn) => {
      const options = { idempotencyKey: randomUUID(), signal: turn.signal, onRetry: this.#notices.retrying() };
      const { accepted } = await client.spawn(spawnRequest, options);
      const session = accepted.session_name ?? accepted.session_id;
      this.#session.id = session;
      this.#notices.quietly(() => this.#options.remember(session));
      await this.#follow(turn, accepted.task_id, accepted.since);
    });
  }

  /** Runs a turn to its end. */
  async #work(label: string, work: (turn: Turn) => Promise<void>): Promise<void> {
    const turn = new Turn(this.#options.client);
    this.#turn = turn;
    this.#screen.work(label);
    this.#refresh();
    await this.#notices.reporting(() => work(turn), turn.signal);
    if (this.#left.signal.aborted) return;
    this.#turn = undefined;
    this.#questions.clear();
    this.#screen.rest();
    // Keep the text being typed, below the output that arrived in the meantime.
    const typed = this.#editor?.take() ?? '';
    this.#screen.release();
    const next = this.#next.shift();
    if (next !== undefined) void this.#entered(next);
    else if (typed === '') this.#refresh();
    else this.#editor?.show(this.#prompt, typed);
  }

  /** @param isOld the task was running before this chat. */
  async #follow(turn: Turn, id: string, since: string, isOld = false): Promise<void> {
    const messages = turn.follow(id, since, {
      width: () => this.#options.output.columns,
      onRetry: this.#notices.retrying(),
    });
    if (turn.isInterrupted) this.#stop(turn); // Ctrl-C was pressed before the task was accepted.
    for await (const shown of messages) {
      this.#show(shown);
      if (shown.request !== undefined) this.#questions.add(shown.request);
      if (shown.request === undefined) continue;
      if (isOld) setTimeout(() => this.#refresh(), SETTLED_MS);
      else this.#refresh();
    }
  }

  #show({ pieces, label, resolved, ended }: TurnUpdate): void {
    this.#screen.write(pieces);
    if (label !== undefined) this.#screen.work(label);
    if (resolved !== undefined && this.#questions.close(resolved.id)) this.#answeredElsewhere(resolved.decision);
    if (ended !== undefined) this.#ended(ended);
  }

  #ended({ status, summary }: Ended): void {
    const good = status === 'completed' || status === 'cancelled' || this.#turn?.isInterrupted === true;
    if (summary !== '') this.#screen.note(summary, good ? 'dim' : 'red');
  }

  /** Sends input to the running task. If that is not possible, the input is sent after the turn. */
  async #sayMore(turn: Turn, text: string): Promise<void> {
    const { client, cwd } = this.#options;
    const { text: words, mentions } = findMentions(text, cwd);
    if (mentions.length > 0 || turn.id === undefined) return this.#sayNext(text);
    try {
      await client.tasks.input(turn.id, words);
    } catch (error) {
      if (!isRefusal(error, 'not_running')) throw error;
      this.#sayNext(text);
    }
  }

  #sayNext(text: string): void {
    this.#next.push(text);
    if (this.#turn === undefined) void this.#entered(this.#next.shift() ?? '');
    else this.#screen.note('It will be sent when Claude has finished.');
  }

  #ask({ text, prompt, begin = '' }: Extract<Step, { kind: 'ask' }>): void {
    this.#screen.release();
    if (text !== '') this.#screen.note(text, 'yellow');
    this.#screen.hold();
    this.#editor?.show(prompt, begin, false);
  }

  async #answered({ request: pending, question }: Asking, text: string): Promise<void> {
    const step = question.next(text);
    if (step.kind === 'ask') return this.#ask(step);
    this.#questions.done();
    this.#screen.release();
    await this.#notices.reporting(async () => {
      try {
        const { rule_error: error } = await this.#options.client.approvals.answer(pending.approval_id, step.answer);
        this.#screen.note(error === undefined ? step.notice : `allowed once: ${error.message}`);
      } catch (error) {
        const isGone = error instanceof KsiError && (error.status === 404 || error.status === 409);
        if (!isGone) this.#questions.askAgain(pending);
        throw error;
      }
    });
  }

  #answeredElsewhere(decision: string): void {
    this.#editor?.hide();
    this.#screen.release();
    this.#screen.note(['allow', 'deny'].includes(decision) ? `answered elsewhere: ${decision}` : decision);
    this.#refresh();
  }

  /** Shows the input line or the next approval if appropriate, or else releases held-back output. */
  #refresh(): void {
    const editor = this.#editor;
    if (editor === undefined || this.#left.signal.aborted || editor.isShown) return;
    const asking = this.#questions.next();
    if (asking !== undefined) return this.#ask(asking.question.first);
    if (this.#questions.asking !== undefined) return;
    this.#screen.release();
    if (this.#turn === undefined) editor.show(this.#prompt);
  }

  #interrupt(): void {
    const turn = this.#turn;
    const again = performance.now() - this.#lastInterrupt < TWICE_MS;
    this.#lastInterrupt = performance.now();
    if (again || turn?.isInterrupted === true) return this.#leave(turn === undefined ? EXIT.ok : EXIT.interrupted);
    this.#editor?.hide();
    if (turn === undefined) {
      this.#screen.note('Press Ctrl-C again, or type /exit, to leave.');
      return this.#refresh();
    }
    this.#questions.clear();
    this.#screen.release();
    this.#screen.note('interrupting Claude; press Ctrl-C again to leave');
    this.#stop(turn);
  }

  #stop(turn: Turn): void {
    this.#stopping = this.#notices.reporting(() => turn.interrupt());
  }

  #leave(exitCode: number = EXIT.ok): void {
    this.#exitCode = exitCode;
    this.#left.abort();
    this.#turn?.leave();
  }

  #farewell(): number {
    const { id } = this.#turn ?? {};
    if (this.#session.id !== undefined) this.#screen.note(`Continue with: ksi chat --session ${this.#session.id}`);
    if (id !== undefined && this.#turn?.isInterrupted !== true)
      this.#screen.note(`Claude is still working: ksi logs -f ${id}\nCancel it with: ksi cancel ${id}`);
    return this.#exitCode;
  }
}
