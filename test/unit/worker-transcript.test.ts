import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { foldTranscript, splitEntries, type TranscriptMessage } from '../../src/sessions/transcript/fold.js';

const entries = (seq: number, ...uuids: (string | undefined)[]): TranscriptMessage => ({
  seq,
  body: { v: 1, entries: uuids.map((uuid) => ({ type: 'user', ...(uuid === undefined ? {} : { uuid }) })) },
});
const rewind = (seq: number, to: number): TranscriptMessage => ({ seq, body: { v: 1, rewind_to: to } });
const folded = (...messages: TranscriptMessage[]): (string | undefined)[] =>
  foldTranscript(messages).map(({ uuid }) => uuid);

describe('foldTranscript', () => {
  it('keeps the order, each uuid once, and every entry without a uuid', () => {
    assert.deepEqual(folded(entries(1, 'a', undefined), entries(4, 'b', 'a', undefined)), [
      'a',
      undefined,
      'b',
      undefined,
    ]);
  });

  it('drops only the entries that a rewind discarded', () => {
    assert.deepEqual(folded(entries(1, 'a'), entries(3, 'b'), rewind(5, 1), entries(6, 'c')), ['a', 'c']);
    assert.deepEqual(folded(entries(1, 'a'), rewind(2, 0)), []);
    assert.deepEqual(folded(rewind(2, 0), entries(3, 'a'), rewind(4, 3), rewind(5, 3)), ['a']);
  });

  it('accepts an entry again after the rewind that dropped it', () => {
    assert.deepEqual(folded(entries(1, 'a'), rewind(2, 0), entries(3, 'a')), ['a']);
  });
});

describe('splitEntries', () => {
  const size = (body: string): number => (JSON.parse(body) as { entries: unknown[] }).entries.length;
  const entry = (text: string) => ({ type: 'user', text });

  it('puts entries that fit into one body', () => {
    assert.deepEqual(splitEntries([entry('a'), entry('b')], 1_000).map(size), [2]);
    assert.deepEqual(splitEntries([], 1_000), []);
  });

  it('splits by bytes between entries, never within one', () => {
    const wide = entry('ä'.repeat(40));
    const bodies = splitEntries([wide, wide, entry('x'.repeat(500)), wide], 250);
    assert.deepEqual(bodies.map(size), [2, 1, 1]);
  });
});
