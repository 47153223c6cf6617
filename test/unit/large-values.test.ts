import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LARGE_BODY_BYTES } from '../../contracts/wire/blob.js';
import { LargeValues } from '../../workers/claude/large-values.js';
import { Redaction } from '../../workers/claude/redaction.js';
import { StreamLines } from '../../workers/claude/stream-lines.js';

const inPieces = (text: string, bytes = 65_536): Buffer[] => {
  const whole = Buffer.from(text);
  return Array.from({ length: Math.ceil(whole.length / bytes) }, (_, n) => whole.subarray(n * bytes, (n + 1) * bytes));
};
const textOf = (pieces: Iterable<Buffer>): string => Buffer.concat([...pieces]).toString();
const long = (text: string, bytes = LARGE_BODY_BYTES): string => text.repeat(Math.ceil(bytes / text.length));

describe('large values', () => {
  const CASES: [name: string, json: string][] = [
    ['a string', `{"type":"result","result":"${long('x')}"}`],
    ['a string of escapes', `{"type":"result","result":"${long('\\"\\\\')}","n":[1,"]"]}`],
    ['a string of many bytes a character', `{"type":"result","result":"${long('日本🎌')}"}`],
    ['small objects', `{"type":"user","message":{"content":[${long('{"a":"}"},')}1]},"after":true}`],
    ['many texts, none of them large', `{"message":{"content":[${long(`{"text":"${'y'.repeat(60_000)}"},`)}null]}}`],
    ['nesting', `{"type":"result","deep":${long('[')}${long(']')}}`],
    ['a name of a field', `{"type":"result","${long('k')}":1}`],
  ];
  for (const [name, json] of CASES)
    it(`are removed and restored: ${name}`, async () => {
      const large = new LargeValues();
      const condensed = (await large.condense(inPieces(json, 65_521))).toString();
      assert.ok(condensed.length < 100_000, `${condensed.length} bytes are left`);
      const again = JSON.stringify(JSON.parse(condensed));
      assert.equal(condensed.length + large.added(condensed), Buffer.byteLength(json));
      assert.ok(textOf(large.restore(again)) === json);
    });

  it('keep the shape of a transcript: each entry is still an object', async () => {
    const entry = {
      type: 'user',
      message: { content: [{ text: 'x'.repeat(70_000) }] },
      toolUseResult: 'y'.repeat(60_000),
    };
    const json = JSON.stringify({ type: 'transcript_mirror', entries: Array.from({ length: 60 }, () => entry) });
    const large = new LargeValues();
    const { entries } = JSON.parse((await large.condense(inPieces(json))).toString()) as { entries: (typeof entry)[] };
    assert.equal(entries.length, 60);
    assert.ok(entries.every(({ type, toolUseResult }) => type === 'user' && toolUseResult.length === 60_000));
    assert.ok(textOf(large.restore(JSON.stringify({ type: 'transcript_mirror', entries }))) === json);
  });

  it('of another source are restored too, but not lookalikes', async () => {
    const [one, other] = [new LargeValues(), new LargeValues()];
    one.include(other);
    const json = `{"a":"${long('x')}"}`;
    const texts = [await one.condense(inPieces(json)), await other.condense(inPieces(json)), '{"a":"ksi-large-1:0"}'];
    assert.ok(textOf(one.restore(`[${texts.join(',')}]`)) === `[${json},${json},{"a":"ksi-large-1:0"}]`);
  });

  it('are named inside a longer text, and kept where they can be restored', async () => {
    const large = new LargeValues();
    const json = `{"result":"${long('x')}"}`;
    const { result } = JSON.parse((await large.condense(inPieces(json))).toString()) as { result: string };
    const text = JSON.stringify({ error: `It failed: ${result}`, said: `${result}\n"${result}"`, output: { result } });
    const name = `[a text of ${long('x').length + 2} bytes]`;
    const named = JSON.parse(large.named(text)) as object;
    assert.deepEqual(named, { error: `It failed: ${name}`, said: `${name}\n"${name}"`, output: { result } });
  });

  it('contain no credentials, wherever a chunk ends', async () => {
    const redaction = new Redaction(['sk-secret-"1"', 'other-secret']);
    const json = JSON.stringify({ a: `${long('x')}sk-secret-"1"other-secretsk-secret-"1"` });
    for (const bytes of [1_000, 1_001, 1_002, 1_003, 1_004, 1_005, 1_006, 1_007]) {
      const large = new LargeValues();
      const condensed = await large.condense(inPieces(json, bytes));
      const restored = JSON.parse(textOf(large.restore(condensed.toString(), redaction))) as { a: string };
      assert.ok(restored.a.endsWith(`x${'[redacted]'.repeat(3)}`));
    }
  });

  it('skip lines that cannot be messages, and keep the others complete', async () => {
    const lines = new StreamLines(new LargeValues());
    const passed: Buffer[] = [];
    const fields = Array.from({ length: 1_000_000 }, (_, n) => `"${n}":1234567890`).join(',');
    for (const piece of inPieces(`{"a":1}\nnull\n  {"b":2}\n{${fields}}\n{"c":\n{"d":4}`, 1_000))
      passed.push(await lines.take(piece));
    passed.push(await lines.rest());
    assert.equal(textOf(passed), '{"a":1}\n{"b":2}\n{"c":\n{"d":4}');
  });
});
