import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ORDINARY_USER } from '../fixtures/worker-process.js';
import { checkOutput } from '../../workers/attempt/check-output.js';
import { LargeValues } from '../../workers/claude/large-values.js';
import { NotValidated, validateInThread } from '../../src/output-schema/validate-in-thread.js';

const NO_THREAD = fileURLToPath(new URL('../fixtures/no-thread.js', import.meta.url));

const of = (properties: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  type: 'object',
  properties,
  ...more,
});
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const verdict = of({ verdict: { enum: ['sound', 'unsound'] }, points: { type: 'array', items: { type: 'integer' } } });

const NO_SCHEMAS: readonly [string, Record<string, unknown>, path: string, RegExp][] = [
  ['a root that is no object', { type: 'objekt' }, '/type', /"object"/],
  ['a root of another type', { type: 'array', items: {} }, '/type', /"object"/],
  ['an unknown type', of({ a: { type: 'strin' } }), '/properties/a/type', /allowed values: \["array",/],
  ['a bound that is no number', of({ a: { minLength: 'x' } }), '/properties/a/minLength', /integer/],
  ['a reference to nothing', of({ a: { $ref: '#/$defs/b' } }), '/properties/a/$ref', /refers to .*\$defs\/b/],
  ['a remote reference', of({ a: { $ref: 'https://example.org/s' } }), '/properties/a/$ref', /fetches no schemas/],
  ['a pattern that is none', of({ a: { pattern: '(' } }), '/properties/a/pattern', /Invalid regular expression/],
  ['an unknown keyword', of({ a: { 'x/y': 1 } }), '/properties/a/x~1y', /unknown keyword/],
  ['a later draft', { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' }, '/$schema', /draft/],
];

describe('the validator of output_schema', () => {
  for (const [what, schema, path, message] of NO_SCHEMAS)
    it(`refuses ${what}`, async () => {
      const judged = await validateInThread({ schema }, 'local');
      assert.ok(judged.kind === 'no_schema');
      assert.equal(judged.mismatches[0]?.path, path);
      assert.match(judged.mismatches[0]?.message ?? '', message);
    });

  it('accepts the schemas that Claude accepts', async () => {
    const recursive = of({ next: { $ref: '#' }, when: { format: 'date' } }, { $defs: {}, required: ['next'] });
    for (const schema of [verdict, recursive, { ...verdict, $schema: 'http://json-schema.org/draft-07/schema#' }])
      assert.deepEqual(await validateInThread({ schema }, 'local'), { kind: 'fits' });
  });

  it('reports where an answer does not match, and what was expected', async () => {
    const schema = { ...verdict, required: ['verdict', 'reason'], additionalProperties: false };
    const judged = await validateInThread(
      { schema, answer: json({ verdict: 'so', points: [1, 'x'], more: 1 }) },
      'local',
    );
    assert.ok(judged.kind === 'mismatch');
    assert.deepEqual(
      judged.mismatches.map(({ path, message }) => `${path} ${message}`),
      [
        " must have required property 'reason'",
        ' must NOT have additional properties: "more"',
        '/verdict must be equal to one of the allowed values: ["sound","unsound"]',
        '/points/1 must be integer',
      ],
    );
    assert.deepEqual(await validateInThread({ schema: verdict, answer: json({ verdict: 'sound' }) }, 'local'), {
      kind: 'fits',
    });
  });

  it('reports no more mismatches than fit into an event', async () => {
    const points = Array.from({ length: 50_000 }, String);
    const judged = await validateInThread({ schema: verdict, answer: json({ points }) }, 'local');
    assert.ok(judged.kind === 'mismatch');
    assert.ok(JSON.stringify(judged.mismatches).length < 200_000);
    assert.match(judged.mismatches.at(-1)?.message ?? '', /^there are \d+ more mismatches$/);
  });

  it('is not blocked by a pattern that never terminates', async () => {
    const schema = of({ a: { pattern: '^(a+)+$' } });
    let turns = 0;
    const turning = setInterval(() => (turns += 1), 50);
    await assert.rejects(
      validateInThread({ schema, answer: json({ a: `${'a'.repeat(60)}b` }) }, 'local', 500),
      (error) => error instanceof NotValidated && /longer than 0.5 s/.test(error.message),
    );
    clearInterval(turning);
    assert.ok(turns > 5, 'the event loop goes on meanwhile');
  });

  it('does not refuse a schema because the host has no free thread', () => {
    const [program, ...args] = [...(ORDINARY_USER?.prefix ?? []), process.execPath, NO_THREAD];
    const output = execFileSync(program, args, { encoding: 'utf8' });
    assert.match(output, /^NotValidated: .*; short of threads of the user.*EAGAIN$/m);
  });

  it('does not make one owner wait for another', async () => {
    const schema = of({ a: { pattern: '^(a+)+$' } });
    let slow = 0;
    const all = Array.from({ length: 8 }, async (_, n) => {
      await assert.rejects(validateInThread({ schema, answer: json({ a: `${'a'.repeat(60)}b${n}` }) }, 'slow', 500));
      slow += 1;
    });
    const quick = of({ a: { const: 'of another owner' } });
    assert.deepEqual(await validateInThread({ schema: quick }, 'quick'), { kind: 'fits' });
    assert.ok(slow < all.length, 'the slow ones are not done yet');
    await Promise.all(all);
  });
});

describe('a structured output of more than 16 MiB', () => {
  const check = async (body: string) => {
    const large = new LargeValues();
    const line = await large.condense([Buffer.from(`{"structured_output":${body}}`)]);
    const output = JSON.parse(line.toString()) as Record<string, unknown>;
    const command = { output_schema: verdict, owner: 'local' };
    return checkOutput(command, { type: 'result', subtype: 'success', ...output }, large);
  };
  const text = 'x'.repeat(17 * 1_048_576);

  it('is checked like any other', async () => {
    assert.deepEqual(await check(`{"verdict":"sound","text":"${text}"}`), {});
    const { mismatches } = await check(`{"verdict":"so","text":"${text}"}`);
    assert.deepEqual(
      mismatches?.map(({ path }) => path),
      ['/verdict'],
    );
  });

  it('is accepted without a complete check because Claude has checked it, unlike smaller outputs', async () => {
    const notJson = String.raw`\u`;
    assert.deepEqual(await check(`{"verdict":"sound","text":"${notJson}${text}"}`), {});
    const small = 'x'.repeat(5 * 1_048_576);
    assert.deepEqual(await check(`{"verdict":"sound","text":"${notJson}${small}"}`), {
      unchecked: 'the answer could not be parsed',
    });
  });
});
