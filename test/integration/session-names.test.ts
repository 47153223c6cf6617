import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4, v5 as uuidv5 } from 'uuid';
import { SESSION_NAMESPACE } from '../../contracts/wire/names.js';
import { startApiOn } from '../fixtures/api-on.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';

describe('the name of a session', () => {
  let lab: ApiLab;
  let ann: string;
  let eve: string;
  before(async () => {
    lab = await ApiLab.start({ KSI_WORKSPACES: `site=${tmpdir()}` });
    [ann, eve] = await Promise.all([tokenOf('ann'), tokenOf('eve')]);
  });
  after(() => lab.stop());

  const ask = (method: string, path: string, token: string, body?: object, url = lab.url): Promise<Answer> =>
    fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).then(async (answer) => {
      const text = await answer.text();
      return {
        status: answer.status,
        headers: answer.headers,
        body: (text === '' ? {} : JSON.parse(text)) as Answer['body'],
      };
    });
  const tokenOf = async (owner: string): Promise<string> =>
    String((await ask('POST', '/tokens', TOKEN, { scopes: ['spawn', 'read'], owner })).body['token']);
  const spawn = async (token: string, session_id: string, more: object = {}): Promise<Answer> =>
    ask('POST', '/spawn', token, { prompt: 'x', session_id, ...more });

  it('cannot be taken by another owner who computes its UUID, and nobody learns whether it exists', async () => {
    const guess = uuidv5('ann/notes', SESSION_NAMESPACE);
    const before = await spawn(eve, guess);
    const first = await spawn(ann, 'notes');
    const after = await spawn(eve, guess);
    assert.deepEqual([before.status, first.status, after.status], [202, 202, 202]);
    assert.notEqual(first.body['session_id'], guess);
    assert.equal((await spawn(ann, 'notes')).body['session_id'], first.body['session_id']);
    assert.notEqual((await spawn(eve, 'notes')).body['session_id'], first.body['session_id']);
  });

  it("refuses another owner's UUID as if it were nobody's", async () => {
    const mine = String((await spawn(ann, 'private')).body['session_id']);
    const theirs = await spawn(eve, mine, { resume_only: true });
    const nobodys = await spawn(eve, uuidv4(), { resume_only: true });
    assert.deepEqual([theirs.status, theirs.body['code']], [nobodys.status, nobodys.body['code']]);
    assert.equal((await spawn(eve, mine)).status, 404);
    for (const path of ['', '/transcript'])
      assert.equal((await ask('GET', `/sessions/${mine}${path}`, eve)).status, 404);
  });

  it('stands for one session, though two APIs are asked at once for the first time', async () => {
    const other = await startApiOn(lab.server.url);
    try {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          ask('POST', '/spawn', TOKEN, { prompt: 'x', session_id: 'raced' }, index % 2 === 0 ? lab.url : other.url),
        ),
      );
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
      assert.equal(new Set(answers.map(({ body }) => body['session_id'])).size, 1);
    } finally {
      await other.stop();
    }
  });

  it('is not joined by who learns the UUID of a session that has just begun at another API', async () => {
    const other = await startApiOn(lab.server.url);
    try {
      for (let round = 0; round < 10; round++) {
        const begun = await ask('POST', '/spawn', ann, { prompt: 'x' });
        const joined = await ask(
          'POST',
          '/spawn',
          eve,
          { prompt: 'x', session_id: begun.body['session_id'] },
          other.url,
        );
        assert.equal(joined.status, 404, `round ${round}: ${JSON.stringify(joined.body)}`);
      }
    } finally {
      await other.stop();
    }
  });

  it("opens another owner's conversation to no fork, with a workspace or without", async () => {
    const mine = String((await spawn(ann, 'forked')).body['session_id']);
    for (const more of [{}, { workspace: 'site' }])
      assert.equal((await spawn(eve, mine, { fork: true, ...more })).status, 404, JSON.stringify(more));
  });

  it('is reserved by no request that only asks for it', async () => {
    assert.equal((await spawn(ann, 'never', { resume_only: true })).status, 404);
    assert.equal((await ask('GET', '/sessions/never', ann)).status, 404);
    assert.deepEqual((await ask('GET', '/tasks?session_id=never', ann)).body['items'], []);
    assert.equal((await ask('POST', '/spawn', ann, { prompt: 'x', session_id: 'never', fork: true })).status, 404);
  });
});
