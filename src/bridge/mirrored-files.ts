import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Transport } from '../client/transport.js';
import { InOrder } from './files/in-order.js';
import { Mirror } from './files/mirror.js';
import type { WorkDir } from './files/work-dir.js';
import { compositionFiles, profileFiles } from './migration/export.js';
import { importProfiles } from './migration/import-records.js';
import { bytesOf, filesBelow } from './migration/json-file.js';
import { PROMPT_NAME_PATTERN } from '../../contracts/prompts/compositions.js';
import type { Profile } from '../../contracts/agents/profiles.js';
import { parseProfile } from '../prompts/profile-file.js';

/** There are no events for changes of profiles and compositions, so the bridge polls. */
const POLL_MS = 60_000;
const PROFILE_NAME = new RegExp(PROMPT_NAME_PATTERN);

export const isProfileName = (name: string): boolean => PROFILE_NAME.test(name);

interface Options {
  readonly ksi: Transport;
  readonly dir: WorkDir;
  /** KSI's folder of prompts, if known. Components are copied from it. */
  readonly prompts: string | undefined;
  readonly log: Logger;
}

/** Copies KSI's profiles and prompts to `agent_profiles/` and `prompts/` of the working folder. RELOAD imports changed profiles from there. */
export class MirroredFiles {
  readonly #options: Options;
  readonly #mirror: Mirror;
  readonly #order = new InOrder();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#mirror = new Mirror(options.dir);
  }

  start(): void {
    void this.update();
    this.#timer = setInterval(() => void this.update(), POLL_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#order.idle();
  }

  /** Imports changed profiles. @returns sentences that say what was done */
  reread(): Promise<string> {
    return this.#order.do(async () => {
      const { ksi, dir } = this.#options;
      const imported: string[] = [];
      const changed = async (path: string): Promise<boolean> => !(await this.#mirror.isOwn(path));
      for await (const { name, outcome, note } of importProfiles(ksi, dir, {
        dryRun: false,
        overwrite: true,
        only: changed,
      }))
        if (outcome !== 'there') imported.push(note === undefined ? name : `${name} (${note})`);
      await this.#write();
      const profiles = imported.length === 0 ? 'No profile has changed' : `Changed profiles: ${imported.join(', ')}`;
      return `${profiles}. KSI reloads compositions and components by itself.`;
    });
  }

  /**
   * The profile in the working folder, if a client wrote or changed the file: clients write a profile and spawn its agent at once.
   * @throws {ProfileError}
   */
  async changedProfile(name: string): Promise<Profile | undefined> {
    if (!isProfileName(name)) return undefined;
    const path = join(this.#options.dir.profiles, `${name}.json`);
    const text = await bytesOf(path);
    return text === undefined || (await this.#mirror.isOwn(path)) ? undefined : parseProfile(text.toString('utf8'));
  }

  /** Never rejects. */
  async update(): Promise<void> {
    try {
      await this.#order.do(() => this.#write());
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        'could not update profiles and compositions in the working folder; retrying',
      );
    }
  }

  async #write(): Promise<void> {
    const { ksi, dir, prompts } = this.#options;
    for (const { path, content } of [...(await profileFiles(ksi, dir)), ...(await compositionFiles(ksi, dir))])
      await this.#mirror.put(path, content);
    if (prompts === undefined || prompts === dir.prompts) return;
    for (const name of await filesBelow(join(prompts, 'components')))
      await this.#mirror.put(
        join(dir.prompts, 'components', name),
        await readFile(join(prompts, 'components', name), 'utf8'),
      );
  }
}
