import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { RateReport } from '../../contracts/access/rates.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';

/** Of an hour: a minute might end within the test. */
const QUOTA = 20;
const KSI_SPAWN_RATE = `${QUOTA}/hour`;
/** A report may reach us a moment before it reaches the other API, which then takes one more. */
const TOLERANCE = 1;

describe('the rate of a token at several APIs', () => {
  let lab: ApiLab;
  let second: ApiOn;
  before(async () => {
    lab = await ApiLab.start({ KSI_SPAWN_RATE });
    second = await startApiOn(lab.server.url, { KSI_SPAWN_RATE });
  });
  after(async () => {
    await second.stop();
    await lab.stop();
  });

  const spawnAt = async (url: string): Promise<Response> => {
    const answer = await fetch(`${url}/spawn`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'x' }),
    });
    await answer.text();
    return answer;
  };

  it('is one, also for an API that starts late', async () => {
    const counts = new Map<string, number>();
    const received = new EventEmitter();
    lab.broker.nc.subscribe(SUBJECT.apiRates, {
      callback: (_error, message) => {
        for (const { api, taken } of message.json<RateReport>().counts)
          counts.set(api, Math.max(taken, counts.get(api) ?? 0));
        received.emit('report');
      },
    });
    const untilTold = async (count: number): Promise<void> => {
      while ([...counts.values()].reduce((sum, taken) => sum + taken, 0) < count) await once(received, 'report');
    };
    await lab.broker.nc.flush();
    let accepted = 0;
    for (let n = 0; n < 2 * QUOTA; n++) {
      const { status, headers } = await spawnAt(n % 2 === 0 ? lab.url : second.url);
      if (status === 202) {
        accepted += 1;
        await untilTold(accepted);
        continue;
      }
      assert.equal(status, 429);
      const after = headers.get('retry-after');
      assert.ok(Number(after) >= 1 && Number(after) <= 3_600);
      assert.equal(headers.get('ratelimit'), `"spawn";r=0;t=${after}`);
      assert.equal(headers.get('ratelimit-policy'), `"spawn";q=${QUOTA};w=3600`);
    }
    assert.ok(accepted >= QUOTA && accepted <= QUOTA + TOLERANCE, `${accepted} were accepted`);
    assert.equal(counts.size, 2);
    const late = await startApiOn(lab.server.url, { KSI_SPAWN_RATE });
    assert.equal((await spawnAt(late.url)).status, 429);
    await late.stop();
  });
});
