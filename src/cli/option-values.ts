import { InvalidArgumentError } from "commander";
import { parseDuration } from "../lib/duration.ts";
import { didYouMean } from "../lib/nearest-name.ts";

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

/** A duration such as 500ms, 2s or 1m30s, at most `maxMs`; gives milliseconds. */
export function duration(maxMs: number, maxText: string): (text: string) => number {
  return (text) => {
    const ms = parseDuration(text);
    if (ms === undefined || ms > maxMs) throw new InvalidArgumentError(`expected a duration up to ${maxText}, for example 500ms or 2s.`);
    return ms;
  };
}

/** One of some words. */
export function oneOf<T extends string>(...words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`expected ${words.slice(0, -1).join(", ")} or ${words.at(-1)}${didYouMean(text, words) || "."}`);
  };
}

/** `-o`. */
export const outputFormat = oneOf("text", "json");
