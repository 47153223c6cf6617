import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { SUBJECT } from '../../../contracts/names.js';
import type { SpawnRequest } from '../../../contracts/spawn.js';
import type { Task } from '../../../contracts/http.js';
import type { KsiClient } from '../../client/client.js';
import { KsiError, KsiUnreachableError } from '../../client/errors.js';
import type { EventMessage } from '../../client/event-message.js';
import { EXIT } from '../exit.js';
import { attachmentsOf, describeAttached, findMentions } from '../mentions.js';
import { paint } from '../output/colour.js';
import { explain } from '../run.js';
import { CHAT_HELP, parseEntry, type Entry } from './commands.js';
import { completeLine } from './complete-line.js';
import { Editor } from './editor.js';
import type { History } from './history.js';
import { questionOf, type Asked, type Question, type Step } from './question.js';
import { Screen } from './screen.js';
import { describeCost, describeLast, describeSession } from './session-lines.js';
import { TurnView, type Ended } from './turn-view.js';

export interface ChatOptions {
  readonly client: KsiClient;
  /** Of each thing said; the session and the attachments are the chat's. */
  readonly request: Omit<SpawnRequest, 'prompt'>;
  /** The session to go on with: a UUID or a name; undefined begins one. */
  readonly session: string | undefined;
  /** Told of each session that something was said in. */
  readonly remember: (session: string) => void;
  readonly history: History;
  readonly cwd: string;
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}

/** Between two Ctrl-C that leave. */
const TWICE_MS = 3_000;
const RECONNECT_MS = 2_000;
/** One who leaves waits no longer for Claude to be told. */
const STOPPING_MS = 2_000;

/** A task that is under way. */
interface Turn {
  /** Known once it is accepted. */
  id?: string;
  interrupted: boolean;
  readonly stop: AbortController;
}

/** An approval that is asked about. */
interface Asking {
  readonly id: string;
  readonly question: Question;
}

/** A conversation with Claude on a terminal: what is entered goes to Claude, what comes of it is shown, what is asked is answered in place. */
export class Chat {
  readonly #options: ChatOptions;
  readonly #screen: Screen;
  readonly #prompt: string;
  readonly #left = new AbortController();
  #editor: Editor | undefined;
  #session: string | undefined;
  #turn: Turn | undefined;
  /** Said while Claude could not be told: next. */
  #next: string[] = [];
  #pending: Asked[] = [];
  #asking: Asking | undefined;
  #lastInterrupt = 0;
  /** Claude is being told to end its turn. */
  #stopping: Promise<void> | undefined;
  #exitCode: number = EXIT.ok;

  constructor(options: ChatOptions) {
    this.#options = options;
    this.#screen = new Screen(options.output);
    this.#prompt = paint('cyan', '› ', options.output);
    this.#session = options.session;
  }

  /** To its end. @returns the exit code. @throws {KsiError} @throws {KsiUnreachableError} when it cannot begin. */
  async run(): Promise<number> {
    const open = await this.#greet();
    const { input, output, history, cwd } = this.#options;
    using editor = new Editor(
      {
        input,
        output,
        history: history.entries,
        onHistory: (entry) => this.#quietly(() => history.add(entry)),
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
    this.#editor = editor;
    const left = once(this.#left.signal, 'abort');
    if (open === undefined) this.#refresh();
    else void this.#goOn(open);
    await left;
    editor.hide();
    this.#screen.rest();
    this.#screen.release();
    await Promise.race([this.#stopping, sleep(STOPPING_MS, undefined, { ref: false })]);
    return this.#farewell();
  }

  /** @returns a task of the session that has not ended. */
  async #greet(): Promise<Task | undefined> {
    const session = this.#session;
    const known = session === undefined ? undefined : await this.#find(session);
    if (session === undefined || known === undefined) {
      const which = session === undefined ? 'a new session' : `the new session ${session}`;
      this.#screen.note(`ksi chat: ${which}\n/help says what else there is.`);
      return undefined;
    }
    this.#screen.note(`ksi chat: ${describeSession(known)}\n/help says what else there is.`);
    if (known.open === 0) {
      await this.#told(async () =>
        this.#screen.note(describeLast(await this.#options.client.tasks.get(known.last_task_id))),
      );
      return undefined;
    }
    const { tasks } = await this.#options.client.tasks.list({ session_id: session, limit: 20 });
    return tasks.filter(({ ended_at: ended }) => ended === undefined).at(-1);
  }

  async #find(session: string) {
    try {
      return await this.#options.client.sessions.get(session);
    } catch (error) {
      if (error instanceof KsiError && error.status === 404) return undefined;
      throw error;
    }
  }

  #typing(): void {
    this.#screen.hold();
    this.#editor?.show(this.#prompt);
  }

  #emptied(): void {
    if (this.#turn === undefined || this.#asking !== undefined) return;
    this.#editor?.hide();
    this.#refresh();
  }

  async #entered(text: string): Promise<void> {
    if (this.#asking !== undefined) await this.#answered(this.#asking, text);
    else await this.#do(parseEntry(text));
    this.#refresh();
  }

  async #do(entry: Entry): Promise<void> {
    if (entry.kind === 'say') {
      if (entry.text.trim() === '') return;
      await (this.#turn === undefined ? this.#say(entry.text) : this.#sayMore(this.#turn, entry.text));
    } else if (entry.kind === 'unknown') {
      const near = entry.near === undefined ? '' : ` Did you mean /${entry.near}?`;
      this.#screen.note(`There is no /${entry.name}.${near} /help lists what there is.`, 'yellow');
    } else {
      await this.#command(entry.name, entry.argument);
    }
  }

  async #command(name: Extract<Entry, { kind: 'command' }>['name'], argument: string): Promise<void> {
    if (name === 'help') return this.#screen.note(CHAT_HELP);
    if (name === 'exit') return this.#leave();
    if (name === 'cost') return this.#told(() => this.#cost());
    if (name === 'session' && argument === '') return this.#told(() => this.#which());
    if (this.#turn !== undefined)
      return this.#screen.note('Claude is at work in this session: wait, or interrupt it with Ctrl-C.', 'yellow');
    if (name === 'new' && argument === '') {
      this.#session = undefined;
      return this.#screen.note('A new session begins with what you say next.');
    }
    await this.#told(async () => {
      const known = await this.#find(argument);
      this.#session = argument;
      this.#screen.note(
        known === undefined
          ? `There is no session ${argument} yet: it begins with what you say next.`
          : `${name === 'new' ? 'It is there already. ' : ''}This is ${describeSession(known)}.`,
      );
    });
  }

  async #which(): Promise<void> {
    const known = this.#session === undefined ? undefined : await this.#find(this.#session);
    if (known === undefined)
      return this.#screen.note(`${this.#session ?? 'A new session'}: it begins with what you say next.`);
    this.#screen.note(
      `${describeSession(known)}\nElsewhere: ksi chat --session ${known.session_name ?? known.session_id}`,
    );
  }

  async #cost(): Promise<void> {
    const known = this.#session === undefined ? undefined : await this.#find(this.#session);
    this.#screen.note(known === undefined ? 'Nothing yet.' : describeCost(known));
  }

  /** Does what may fail, and says so. */
  async #told(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#screen.note(explain(error).message, 'red');
    }
  }

  async #say(text: string): Promise<void> {
    const { client, request, cwd } = this.#options;
    const { text: prompt, mentions } = findMentions(text, cwd);
    let attachments;
    try {
      attachments = attachmentsOf(mentions);
    } catch (error) {
      return this.#screen.note(`Not sent: ${(error as Error).message}`, 'red');
    }
    if (attachments.length > 0) this.#screen.note(`attached: ${describeAttached(attachments)}`);
    const turn = this.#begin('sending');
    try {
      const { accepted } = await client.spawn(
        {
          ...request,
          prompt,
          ...(this.#session === undefined ? {} : { session_id: this.#session }),
          ...(attachments.length === 0 ? {} : { attachments }),
        },
        { idempotencyKey: randomUUID(), signal: turn.stop.signal, onRetry: this.#retryNotice() },
      );
      this.#session = accepted.session_name ?? accepted.session_id;
      this.#quietly(() => this.#options.remember(this.#session ?? accepted.session_id));
      await this.#follow(turn, accepted.task_id, accepted.since);
    } catch (error) {
      if (!turn.stop.signal.aborted) this.#screen.note(explain(error).message, 'red');
    } finally {
      this.#end();
    }
  }

  /** Shows what a task that was found under way comes to. */
  async #goOn(task: Task): Promise<void> {
    this.#screen.note(`Claude is still at: ${task.prompt_preview}`);
    const turn = this.#begin(task.status);
    await this.#told(() => this.#follow(turn, task.task_id, '0'));
    this.#end();
  }

  #begin(label: string): Turn {
    const turn: Turn = { interrupted: false, stop: new AbortController() };
    this.#turn = turn;
    this.#screen.work(label);
    this.#refresh();
    return turn;
  }

  #end(): void {
    this.#turn = undefined;
    this.#asking = undefined;
    this.#pending = [];
    this.#screen.rest();
    // What was being typed is kept, below what came meanwhile.
    const typed = this.#editor?.take() ?? '';
    this.#screen.release();
    if (this.#left.signal.aborted) return;
    const next = this.#next.shift();
    if (next !== undefined) void this.#entered(next);
    else if (typed === '') this.#refresh();
    else this.#editor?.show(this.#prompt, typed);
  }

  async #follow(turn: Turn, id: string, since: string): Promise<void> {
    turn.id = id;
    // Ctrl-C came before it was accepted.
    if (turn.interrupted) this.#stopping = this.#told(() => this.#stop(id));
    const view = new TurnView(() => this.#options.output.columns);
    for await (const message of this.#messages(id, since, turn.stop.signal)) {
      if ('op' in message) {
        const ended = await this.#afterGap(id);
        if (ended === undefined) continue;
        return this.#told(async () => this.#ended(ended));
      }
      const { pieces, label, asked, resolved, ended } = view.show(message);
      this.#screen.write(pieces);
      if (label !== undefined) this.#screen.work(label);
      if (asked !== undefined) this.#pending.push(asked);
      if (resolved !== undefined) this.#resolved(resolved);
      if (ended !== undefined) return this.#ended(ended);
      if (asked !== undefined) this.#refresh();
    }
  }

  #ended({ status, summary }: Ended): void {
    const good = status === 'completed' || status === 'cancelled' || summary.startsWith('interrupted');
    if (summary !== '') this.#screen.note(summary, good ? 'dim' : 'red');
  }

  /** Messages of a task; a connection that cannot be made is tried again, as one that breaks. */
  async *#messages(id: string, since: string, signal: AbortSignal): AsyncGenerator<EventMessage> {
    const onRetry = this.#retryNotice();
    const subjects = [SUBJECT.taskAll(id), SUBJECT.live(id)];
    for (;;) {
      try {
        return yield* this.#options.client.events({ subjects, since, signal, onRetry });
      } catch (error) {
        if (!(error instanceof KsiUnreachableError) || signal.aborted) throw error;
        onRetry(error);
        await sleep(RECONNECT_MS, undefined, { signal });
      }
    }
  }

  /** Some events are no longer kept: its outcome may be among them. */
  async #afterGap(id: string): Promise<Ended | undefined> {
    this.#screen.note('Some of what Claude said is no longer kept.', 'yellow');
    const { status, ended_at: ended, output } = await this.#options.client.tasks.get(id);
    if (ended === undefined) return undefined;
    const result = output?.['result'];
    if (typeof result === 'string') this.#screen.write([{ to: 'stdout', text: `${result}\n` }]);
    return { status, summary: status };
  }

  /** Says to Claude, while it works, what was typed; where that cannot be, it is said next. */
  async #sayMore(turn: Turn, text: string): Promise<void> {
    const { client, cwd } = this.#options;
    const { text: words, mentions } = findMentions(text, cwd);
    if (mentions.length > 0 || turn.id === undefined) return this.#sayNext(text);
    try {
      await client.tasks.input(turn.id, words);
    } catch (error) {
      if (!(error instanceof KsiError) || error.code !== 'not_running')
        return this.#screen.note(explain(error).message, 'red');
      this.#sayNext(text);
    }
  }

  #sayNext(text: string): void {
    this.#next.push(text);
    if (this.#turn === undefined) void this.#entered(this.#next.shift() ?? '');
    else this.#screen.note('It is said when Claude is done.');
  }

  #resolved({ id, decision }: { readonly id: string; readonly decision: string }): void {
    const wasAsked = this.#asking?.id === id;
    this.#pending = this.#pending.filter(({ approval_id }) => approval_id !== id);
    if (!wasAsked) return;
    this.#asking = undefined;
    this.#editor?.hide();
    this.#screen.release();
    this.#screen.note(
      decision === 'withdrawn' || decision === 'expired' ? decision : `answered elsewhere: ${decision}`,
    );
    this.#refresh();
  }

  async #answered(asking: Asking, text: string): Promise<void> {
    const step = asking.question.next(text);
    if (step.kind === 'ask') return this.#ask(step);
    this.#asking = undefined;
    this.#screen.release();
    await this.#told(async () => {
      await this.#options.client.approvals.answer(asking.id, step.answer);
      this.#screen.note(step.said);
    });
  }

  #ask({ text, prompt, begin = '' }: Extract<Step, { kind: 'ask' }>): void {
    this.#screen.release();
    if (text !== '') this.#screen.note(text, 'yellow');
    this.#screen.hold();
    this.#editor?.show(prompt, begin, false);
  }

  /** Shows the line, or what was held back while it was shown, whichever it is time for. */
  #refresh(): void {
    const editor = this.#editor;
    if (editor === undefined || this.#left.signal.aborted || editor.isShown) return;
    const asked = this.#asking === undefined ? this.#pending.shift() : undefined;
    if (asked !== undefined) {
      const question = questionOf(asked);
      this.#asking = { id: asked.approval_id, question };
      return this.#ask(question.first);
    }
    if (this.#asking !== undefined) return;
    this.#screen.release();
    if (this.#turn === undefined) editor.show(this.#prompt);
  }

  #interrupt(): void {
    const turn = this.#turn;
    const again = Date.now() - this.#lastInterrupt < TWICE_MS;
    this.#lastInterrupt = Date.now();
    if (again || turn?.interrupted === true) return this.#leave(turn === undefined ? EXIT.ok : EXIT.interrupted);
    if (turn === undefined) {
      this.#editor?.hide();
      this.#screen.note('Ctrl-C again, or /exit, leaves.');
      return this.#refresh();
    }
    turn.interrupted = true;
    this.#asking = undefined;
    this.#pending = [];
    this.#editor?.hide();
    this.#screen.release();
    this.#screen.note('interrupting Claude; Ctrl-C again leaves');
    const { id } = turn;
    if (id !== undefined) this.#stopping = this.#told(() => this.#stop(id));
  }

  /** Ends Claude's turn; a task that has none yet is cancelled. */
  async #stop(id: string): Promise<void> {
    const { tasks } = this.#options.client;
    try {
      await tasks.interrupt(id);
    } catch (error) {
      if (!(error instanceof KsiError) || error.code !== 'not_running') throw error;
      await tasks.cancel(id).catch((failure: unknown) => {
        if (!(failure instanceof KsiError) || failure.code !== 'task_ended') throw failure;
      });
    }
  }

  #leave(exitCode: number = EXIT.ok): void {
    this.#exitCode = exitCode;
    this.#left.abort();
    this.#turn?.stop.abort(new Error('left'));
  }

  #farewell(): number {
    const turn = this.#turn;
    if (this.#session !== undefined) this.#screen.note(`Go on with: ksi chat --session ${this.#session}`);
    if (turn?.id !== undefined && !turn.interrupted)
      this.#screen.note(`Claude goes on: ksi logs -f ${turn.id}\nCancel it with: ksi cancel ${turn.id}`);
    return this.#exitCode;
  }

  /** Says once that a broken connection is being resumed. */
  #retryNotice(): (error: Error) => void {
    let said = false;
    return ({ message }) => {
      if (!said) this.#screen.note(`${message}; trying again`, 'yellow');
      said = true;
    };
  }

  /** Does what may fail without harm: what is remembered is a convenience. */
  #quietly(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#screen.note(`It is not remembered: ${(error as Error).message}`, 'yellow');
    }
  }
}
