import { setTimeout as sleep } from 'node:timers/promises';
import { KsiClient } from '../../src/client/client.js';
import { KsiError } from '../../src/client/errors.js';

/** What an activity works with. */
interface Use {
  readonly client: KsiClient;
  readonly token: string;
  readonly url: string;
  readonly signal: AbortSignal;
  /** Counts the rounds of all activities; part of every name that is made. */
  readonly round: number;
}

interface SoakLoadOptions {
  readonly url: string;
  readonly token: string;
  /** Tasks per second. */
  readonly rate: number;
}

interface Activity {
  readonly name: string;
  /** Tasks that one round asks for: rounds are paced by it. */
  readonly tasks: number;
  /** Part of all tasks. */
  readonly share: number;
  readonly round: (use: Use) => Promise<void>;
}

const SHORT = '[[messages:2]]';
/** An activity's rounds that may be under way at once. A cluster that falls behind is not buried. */
const MAX_AT_ONCE = 8;

const ACTIVITIES: readonly Activity[] = [
  {
    name: 'tasks that are left to retention',
    tasks: 1,
    share: 0.3,
    round: async ({ client, round }) => {
      await (await client.spawn({ prompt: `${SHORT} kept ${round}` })).result();
    },
  },
  {
    name: 'tasks that are deleted',
    tasks: 1,
    share: 0.2,
    round: async ({ client, round }) => {
      const task = await client.spawn({ prompt: `${SHORT} deleted ${round}` });
      await task.result();
      await client.tasks.delete(task.task_id);
    },
  },
  {
    name: 'sessions',
    tasks: 3,
    share: 0.2,
    round: async ({ client, round }) => {
      const session_id = `soak-${round}`;
      const tasks = [];
      for (let turn = 0; turn < 3; turn++)
        tasks.push(await client.spawn({ prompt: `${SHORT} turn ${turn}`, session_id }));
      for (const task of tasks) await task.result();
      await client.sessions.transcript(session_id);
      await client.sessions.delete(session_id);
    },
  },
  {
    name: 'cancels',
    tasks: 1,
    share: 0.1,
    round: async ({ client, round }) => {
      const task = await client.spawn({ prompt: `[[hang]] cancelled ${round}` });
      await sleep(300);
      await task.cancel();
    },
  },
  {
    name: 'agents',
    tasks: 1,
    share: 0.1,
    round: async ({ client, round }) => {
      const [external, managed] = [`soak-reader-${round}`, `soak-worker-${round}`];
      await client.agents.register({ agent_id: external, kind: 'external' });
      await client.agents.register({ agent_id: managed, kind: 'managed' });
      try {
        const reading = new AbortController();
        const inbox = client.agents.inbox(external, { signal: reading.signal });
        await inbox.send({ to: managed, content: `${SHORT} say hello` });
        for await (const message of inbox) {
          await inbox.ack(message);
          reading.abort();
        }
      } finally {
        await client.agents.remove(external);
        await client.agents.remove(managed);
      }
    },
  },
  {
    name: 'readers that connect again',
    tasks: 1,
    share: 0.1,
    round: async ({ url, token, signal, round }) => {
      // A connection of its own each time: the shared client keeps one open.
      await using client = new KsiClient({ url, token });
      const reading = AbortSignal.any([signal, AbortSignal.timeout(20_000)]);
      const task = await client.spawn({ prompt: `${SHORT} read ${round}` });
      for await (const message of client.events({ since: task.since, signal: reading }))
        if ('type' in message && message.type === 'SPAWN_COMPLETE') break;
      for await (const _event of task.events()) void _event;
      await client.tasks.list({ limit: 20 });
      await client.usage();
    },
  },
];

/** Uses a cluster in every way, at a steady rate, until it is stopped. */
export class SoakLoad {
  readonly rounds = new Map<string, number>();
  /** Failures by activity and code. */
  readonly failures = new Map<string, number>();
  readonly #stopping = new AbortController();
  readonly #client: KsiClient;
  readonly #underWay = new Set<Promise<void>>();
  #loops: Promise<unknown> | undefined;
  readonly #options: SoakLoadOptions;
  #round = 0;

  constructor(options: SoakLoadOptions) {
    this.#options = options;
    this.#client = new KsiClient(options);
  }

  start(): void {
    this.#loops ??= Promise.all(ACTIVITIES.map((activity) => this.#repeat(activity)));
  }

  /** Resolves when the rounds under way have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loops;
    await Promise.all(this.#underWay);
    await this.#client.close();
  }

  async #repeat(activity: Activity): Promise<void> {
    const { signal } = this.#stopping;
    const gapMs = (activity.tasks * 1_000) / (this.#options.rate * activity.share);
    const mine = new Set<Promise<void>>();
    while (!signal.aborted) {
      if (mine.size < MAX_AT_ONCE) {
        const done: Promise<void> = this.#once(activity).finally(() => {
          mine.delete(done);
          this.#underWay.delete(done);
        });
        mine.add(done);
        this.#underWay.add(done);
      }
      // The end of the run only shortens the pause.
      await sleep(gapMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #once({ name, round }: Activity): Promise<void> {
    try {
      const { url, token } = this.#options;
      await round({ client: this.#client, url, token, signal: this.#stopping.signal, round: ++this.#round });
      this.rounds.set(name, (this.rounds.get(name) ?? 0) + 1);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const key = `${name}: ${error instanceof KsiError ? error.code : String(error)}`;
      this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
    }
  }
}
