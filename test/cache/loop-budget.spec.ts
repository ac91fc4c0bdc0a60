import { describe, expect, it } from 'vitest';
import { LoopBudget } from '../../lib/cache/loop-budget.js';

describe('LoopBudget', () => {
  it('has 20 ms in each window of 100 ms', () => {
    const budget = new LoopBudget();
    expect(budget.left(1_000)).toBe(20);
    budget.spend(15);
    budget.spend(4);
    expect(budget.left(1_099)).toBe(1);
    budget.spend(30);
    expect(budget.left(1_099)).toBe(-29);
    expect(budget.left(1_100)).toBe(20);
    budget.spend(20);
    expect(budget.left(1_199)).toBe(0);
    expect(budget.left(5_000)).toBe(20);
  });
});
