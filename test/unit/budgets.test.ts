import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Budget } from '../../src/access/budgets.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const OWNER = { owner: 'alice', sessionId: 's1' };

const budgetOf = (usd: number): Budget =>
  new Budget(
    { current: { owner_usd_per_day: usd } },
    { costOfDay: () => Promise.resolve(0), costOfSession: () => Promise.resolve(0) },
    { budget: () => Promise.resolve(undefined) },
    { now: () => Date.UTC(2026, 0, 1) },
  );

describe('budgets', () => {
  it('can be spent to the last cent: 0.7 and 0.1 make 0.8', async () => {
    const budget = budgetOf(0.8);
    assert.equal(await budget.left(OWNER), 0.8);
    budget.note(OWNER, 0.7);
    assert.equal(await budget.left(OWNER), 0.1);
    assert.deepEqual(await budget.spent(OWNER), []);
    budget.note(OWNER, 0.1);
    assert.deepEqual(await budget.spent(OWNER), [{ owner: 'alice' }]);
    await assert.rejects(budget.left(OWNER), { code: 'budget_exceeded' });
  });

  it('and all other amounts of money are added with `addUsd`', () => {
    const sum = /(usd|cost|spent)[\w()]*( [-+]=| [-+]) |( [-+]=| [-+]) \(?(await )?[\w.]*(usd|cost|spent)/i;
    const found: string[] = [];
    for (const tree of ['src', 'workers', 'contracts'])
      for (const name of readdirSync(join(ROOT, tree), { recursive: true, encoding: 'utf8' })) {
        if (!name.endsWith('.ts')) continue;
        for (const line of readFileSync(join(ROOT, tree, name), 'utf8').split('\n'))
          if (!/^\s*(\*|\/)/.test(line) && sum.test(line)) found.push(`${join(tree, name)}: ${line.trim()}`);
      }
    assert.deepEqual(found, [
      // A step of an estimate.
      'workers/claude/model-prices.ts: const missing = usd - product(tokens, known);',
    ]);
  });
});
