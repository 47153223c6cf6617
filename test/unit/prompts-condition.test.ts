import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { COMPARISONS, ConditionError, type Condition } from '../../src/prompts/condition/condition.js';
import { holds } from '../../src/prompts/condition/holds.js';
import { parseCondition } from '../../src/prompts/condition/parse.js';

const when = (text: string, context: Record<string, unknown> = {}): boolean => holds(parseCondition(text), context);
const faultOf = (text: string): { at: number; message: string } => {
  try {
    parseCondition(text);
  } catch (error) {
    if (error instanceof ConditionError) return error;
    throw error;
  }
  return { at: -1, message: 'it is taken' };
};

describe('a condition', () => {
  it('compares values of the context', () => {
    const context = { role: 'teacher', n: 3, list: ['a', 'b'], on: true, off: false, none: null, text: "it's" };
    for (const [text, expected] of [
      ["{{role}} == 'teacher'", true],
      ['{{ role }} == "teacher"', true],
      ["{{role}} != 'student'", true],
      ["{{role}} in ['student', 'teacher']", true],
      ["{{role}} not in ['student', 'teacher',]", false],
      ["not {{role}} in ['student']", true],
      ['{{n}} > 2', true],
      ['{{n}} >= 3 and {{n}} <= 3', true],
      ['{{n}} < -1.5e1', false],
      ["{{n}} == '3'", false],
      ['{{role}} > 3 or {{role}} < 3', false],
      ["'b' in {{list}}", true],
      ["'ach' in {{role}}", true],
      ['{{on}} == 1 and {{on}} == True', true],
      ['{{off}} or {{missing}} or {{none}}', false],
      ['{{missing}} == None', true],
      ["{{text}} == 'it\\'s'", true],
      ["{{role}} == 'teacher' or {{role}} == 'student' and {{off}}", true],
      ["({{role}} == 'teacher' or {{role}} == 'student') and {{off}}", false],
      ["({{missing}} or 'x') == 'x'", true],
      ['not not {{n}}', true],
    ] as const)
      assert.equal(when(text, context), expected, text);
  });

  it('has the truth values of Python', () => {
    for (const falsy of [null, false, 0, '', [], {}])
      assert.equal(when('{{x}}', { x: falsy }), false, JSON.stringify(falsy));
    for (const truthy of [true, 1, -0.5, ' ', 'False', '0', [0], { a: 0 }])
      assert.equal(when('{{x}}', { x: truthy }), true, JSON.stringify(truthy));
    assert.equal(when('{{toString}} or {{__proto__}}'), false, 'what every object has is not of the context');
  });

  it('reports its fault and the position', () => {
    for (const [text, at] of [
      ['', 0],
      ["{{role}} = 'x'", 9],
      ["{{role}} == 'x", 12],
      ['{{role} == 1', 0],
      ['{{}}', 0],
      ['role == 1', 0],
      ['{{a}} and', 9],
      ['{{a}} {{b}}', 6],
      ['({{a}}', 6],
      ['[1 2]', 3],
      ['1 < {{a}} < 3', 10],
      ['{{a}} not 1', 10],
      ['- {{a}}', 2],
      ["__import__('os').system('true')", 0],
      ["{{a}}.strip() == ''", 5],
      ['12abc', 0],
      [`${'('.repeat(60)}1${')'.repeat(60)}`, 51],
    ] as const)
      assert.equal(faultOf(text).at, at, `${text}: ${faultOf(text).message}`);
    assert.match(faultOf('a == 1').message, /\{\{a\}\}.*\(character 1\)/);
  });

  it('accepts any text, or reports a fault with a position', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '{{',
        '}}',
        'a',
        'and',
        'or',
        'not',
        'in',
        '==',
        '<',
        '(',
        ')',
        '[',
        ']',
        ',',
        "'",
        '"',
        '1',
        ' ',
        '\\',
        '\n',
        '-',
        '.',
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('');
        const { at } = faultOf(text);
        assert.ok(at >= -1 && at <= text.length);
      }),
      { numRuns: 2_000 },
    );
  });

  it('survives printing and parsing', () => {
    fc.assert(
      fc.property(conditions(), (condition) => {
        assert.deepEqual(parseCondition(written(condition)), condition);
      }),
    );
  });

  it('is not changed by the content of a value', () => {
    const hostile = fc.oneof(fc.string(), fc.constantFrom("' or True or '", "'] or [1", '{{other}}', "x' == 'x"));
    fc.assert(
      fc.property(hostile, fc.string(), (value, other) => {
        assert.equal(when("{{x}} == 'safe'", { x: value, other }), value === 'safe');
        assert.equal(when("{{x}} in ['a', 'b']", { x: value, other }), value === 'a' || value === 'b');
      }),
    );
  });
});

const conditions = (): fc.Arbitrary<Condition> =>
  fc.letrec<{ any: Condition; leaf: Condition }>((tie) => ({
    leaf: fc.oneof(
      fc
        .oneof(
          fc.string(),
          fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }),
          fc.boolean(),
          fc.constant(null),
        )
        .map((value): Condition => ({ kind: 'value', value: Object.is(value, -0) ? 0 : value })),
      fc.stringMatching(/^[a-z_]{1,8}$/).map((name): Condition => ({ kind: 'key', name })),
    ),
    any: fc.oneof(
      { maxDepth: 4 },
      tie('leaf'),
      fc.array(tie('any'), { maxLength: 3 }).map((items): Condition => ({ kind: 'list', items })),
      tie('any').map((of): Condition => ({ kind: 'not', of })),
      fc
        .tuple(fc.constantFrom('and', 'or'), tie('any'), tie('any'))
        .map(([kind, left, right]): Condition => ({ kind, left, right })),
      fc
        .tuple(fc.constantFrom(...COMPARISONS), tie('any'), tie('any'))
        .map(([by, left, right]): Condition => ({ kind: 'compare', by, left, right })),
    ),
  })).any;

/** With parentheses around everything. */
function written(condition: Condition): string {
  switch (condition.kind) {
    case 'value':
      return literal(condition.value);
    case 'key':
      return `{{${condition.name}}}`;
    case 'list':
      return `[${condition.items.map(written).join(', ')}]`;
    case 'not':
      return `(not ${written(condition.of)})`;
    case 'compare':
      return `(${written(condition.left)} ${condition.by} ${written(condition.right)})`;
    default:
      return `(${written(condition.left)} ${condition.kind} ${written(condition.right)})`;
  }
}

function literal(value: string | number | boolean | null): string {
  if (typeof value === 'string') return `'${value.replaceAll(/[\\'\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}'`;
  if (typeof value === 'number') return String(value);
  return value === null ? 'None' : value ? 'True' : 'False';
}
