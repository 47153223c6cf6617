import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, open, readdir, readlink, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { acceptedRow } from '../../src/store/projection.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { BrokerError } from '../../src/broker/errors.js';
import type { EventHub } from '../../src/events/hub.js';
import { Limit } from '../../src/limit.js';
import { Projector } from '../../src/store/projector.js';
import { TaskStore } from '../../src/store/task-store.js';
import { silent } from '../fixtures/connection.js';
import { REPO_ROOT } from '../fixtures/paths.js';
import { seededRandom } from '../fixtures/random.js';

const OPENER = join(REPO_ROOT, 'dist', 'test', 'fixtures', 'open-read-model.js');
const TASKS = 300;
const PAGE = 4_096;
/** The first start may crash on the damage; the second one finds the marker. */
const STARTS = 2;

describe('a damaged file of a read model', () => {
  let dir: string;
  let sound: string;
  let bytes: number;
  const random = seededRandom(7);
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-damaged-'));
    sound = join(dir, 'sound.mdb');
    const store = new TaskStore(sound, 1);
    const rows = Array.from({ length: TASKS }, (_, n) => {
      const id = `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
      const command = { v: 1, task_id: id, session_id: id, owner: 'local', queue: 'default', priority: 'normal' };
      const row = acceptedRow({ ...command, prompt: 'x', accepted_at: '2026-01-01' } as never, 'queued');
      return { ...row, output: { result: 'r'.repeat(n * 40) } as never };
    });
    await store.write(rows, { incarnation: 'i', seq: TASKS });
    await store.close();
    bytes = (await stat(sound)).size;
  });
  after(() => rm(dir, { recursive: true }));

  const scribble = async (path: string, at: number, length: number): Promise<void> => {
    const file = await open(path, 'r+');
    await file.write(Buffer.from(Array.from({ length }, () => Math.floor(random() * 256))), 0, length, at);
    await file.close();
  };
  const randomPages = async (path: string): Promise<void> => {
    for (let n = 0; n < 20; n++) await scribble(path, PAGE * (2 + Math.floor(random() * (bytes / PAGE - 2))), PAGE);
  };

  const damages: Record<string, (path: string) => Promise<void>> = {
    'is empty': (path) => truncate(path, 0),
    'was cut after its first page': (path) => truncate(path, PAGE),
    'was cut in the middle': (path) => truncate(path, Math.floor(bytes / 2)),
    'was cut within a page': (path) => truncate(path, bytes - PAGE - 100),
    'has other meta pages': (path) => scribble(path, 32, 2 * PAGE - 32),
    'has one other meta page': (path) => scribble(path, PAGE, PAGE),
    'has random pages': randomPages,
    'has other random pages': randomPages,
    'has nothing but random pages': (path) => scribble(path, 2 * PAGE, bytes - 2 * PAGE),
    'is another file': (path) => writeFile(path, 'text '.repeat(10_000)),
  };
  const afterCrash = new Set(['was cut in the middle', 'has other meta pages', 'has random pages']);
  for (const [what, damage] of Object.entries(damages))
    for (const crashed of afterCrash.has(what) ? [false, true] : [false])
      it(`${what}${crashed ? ', after a crash' : ''}: the process starts, and a damaged file is kept`, async () => {
        const path = join(dir, `${what.replaceAll(' ', '-')}-${crashed}.mdb`);
        await copyFile(sound, path);
        await damage(path);
        if (crashed) await writeFile(`${path}.in-use`, '');
        let answer: { aside?: string; tasks: number } | undefined;
        for (let start = 1; answer === undefined && start <= STARTS; start++) {
          const { status, stdout } = spawnSync(process.execPath, [OPENER, path], { encoding: 'utf8' });
          if (status === 0) answer = JSON.parse(stdout) as typeof answer;
          else assert.ok(!crashed, 'a file whose process crashed is looked at before it is opened');
        }
        assert.ok(answer !== undefined, `it did not come up within ${STARTS} starts`);
        if (answer.aside !== undefined) {
          assert.equal(answer.tasks, 0);
          assert.ok((await stat(answer.aside)).size > 0);
        }
        await assert.rejects(stat(`${path}.in-use`), { code: 'ENOENT' });
      });

  it('is used again if its process was killed and the file is intact', async () => {
    const path = join(dir, 'killed.mdb');
    await copyFile(sound, path);
    await writeFile(`${path}.in-use`, '');
    const { stdout } = spawnSync(process.execPath, [OPENER, path], { encoding: 'utf8' });
    assert.deepEqual(JSON.parse(stdout), { tasks: TASKS });
  });
});

describe('a file of a read model that was open when the broker became unavailable', () => {
  it('is closed, and counts as intact at the next start', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-away-'));
    try {
      const path = join(dir, 'read-model.mdb');
      const position = { incarnation: 'i', seq: 1, eventId: 'e' };
      const store = new TaskStore(path, 1);
      await store.write([], position);
      await store.close();
      const away = new BrokerError('unavailable', 'as the test wants it');
      const streams = {
        info: async () => ({ state: { first_seq: 1, last_seq: 1 } }),
      };
      const broker = { jsm: { streams }, publisher: { ask: async () => Promise.reject(away) } } as unknown as Broker;
      const options = {
        broker,
        blobs: {} as Blobs,
        hub: { position } as EventHub,
        limit: new Limit(1),
        path,
        exchangeDays: 1,
        log: silent,
      };
      await assert.rejects(Projector.open(options), away);
      await assert.rejects(stat(`${path}.in-use`), { code: 'ENOENT' });
      if (process.platform === 'linux') assert.ok(!(await openFiles()).includes(path));
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  const openFiles = async (): Promise<string[]> =>
    Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
});
