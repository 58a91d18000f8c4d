import { expect, test } from "vitest";
import { StepBudgets } from "../../../src/core/expression/step-budgets.ts";

test("one second's worth may be taken at once, a debt is paid back with time, and others owe nothing for it", () => {
  const budgets = new StepBudgets(1_000);
  expect(budgets.left("shop", 0)).toBe(1_000);
  budgets.spend("shop", 3_000, 0);
  expect(budgets.left("shop", 0)).toBe(-2_000);
  expect(budgets.debtMs("shop", 0)).toBe(2_000);
  expect(budgets.debtMs("other", 0)).toBe(0);
  expect(budgets.debtMs("shop", 1_500)).toBe(500);
  expect(budgets.debtMs("shop", 2_000)).toBe(0);
  expect(budgets.left("shop", 60_000)).toBe(1_000);
});

test("time that runs backwards gives nothing", () => {
  const budgets = new StepBudgets(1_000);
  budgets.spend("shop", 2_000, 5_000);
  expect(budgets.left("shop", 4_000)).toBe(-1_000);
});

test("ten thousand namespaces are remembered, one more forgets the first", () => {
  const budgets = new StepBudgets(10);
  for (let i = 0; i <= 10_000; i++) budgets.spend(`n${i}`, 100, 0);
  expect(budgets.left("n1", 0)).toBe(-90);
  expect(budgets.left("n0", 0)).toBe(10);
});
