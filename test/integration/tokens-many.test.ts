import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SUBJECT } from '../../contracts/wire/names.js';
import { RecordMac } from '../../src/access/tokens/record-mac.js';
import { TokenRegistry } from '../../src/access/tokens/registry.js';
import { LOCAL } from '../../src/access/principal.js';
import { ApiLab } from '../fixtures/api.js';
import { connectTest, silent } from '../fixtures/connection.js';

/** More than the broker answers at once about the last message of each of many subjects (1,024). */
const MANY = 1_100;

describe('many tokens', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  it('are all known to an API that starts', async (t) => {
    const { publisher } = lab.broker;
    const one = new TokenRegistry(lab.broker, new RecordMac(undefined), silent);
    t.after(() => one.stop());
    await one.start();
    const first = await one.create({ owner: 'ann', scopes: ['read'] }, LOCAL);
    const { token: _token, ...shown } = first;
    const record = { ...shown, v: 1, hash: 'x'.repeat(43) };
    const id = (n: number): string => n.toString(16).padStart(16, '0');
    const known = new Promise<void>((resolve) =>
      one.onChange(() => {
        if (one.list(LOCAL).length === MANY + 1) resolve();
      }),
    );
    await Promise.all(
      Array.from({ length: MANY }, (_, n) =>
        publisher.publish({
          subject: SUBJECT.token(id(n)),
          payload: JSON.stringify({ record: { ...record, token_id: id(n) } }),
        }),
      ),
    );
    await known;
    const another = await connectTest(lab.server.url);
    const two = new TokenRegistry(another, new RecordMac(undefined), silent);
    await two.start();
    assert.equal(two.list(LOCAL).length, MANY + 1);
    // A change reads that token alone, and not all of them again.
    const before = another.nc.stats().inMsgs;
    const changed = new Promise<string>((resolve) => two.onChange(resolve));
    const last = await one.create({ owner: 'bob', scopes: ['read'] }, LOCAL);
    assert.equal(one.find(last.token_id)?.owner, 'bob');
    assert.equal(await changed, last.token_id);
    assert.ok(another.nc.stats().inMsgs - before < 100);
    await two.stop();
    await another.close();
    await lab.stopApi();
    await lab.startApi();
    const { token } = last;
    const answer = await fetch(`${lab.url}/tasks`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
  });
});
