import { forcesColour, refusesColour } from "../config/env.ts";

/** Whether a stream gets colour: a terminal, unless its user says no (https://no-color.org) or it is a dumb one. */
export function usesColour(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && !refusesColour();
}

export type ColourWish = "auto" | "always" | "never";

/** What `--color` says comes first, then NO_COLOR, then CLICOLOR_FORCE, then whether it is a terminal. */
export function wantsColour(wish: ColourWish, stream: { readonly isTTY?: boolean }): boolean {
  if (wish !== "auto") return wish === "always";
  return !refusesColour() && (forcesColour() || stream.isTTY === true);
}
