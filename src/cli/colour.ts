import { refusesColour } from "../config/env.ts";

/** Whether a stream gets colour: a terminal, unless its user says no (https://no-color.org) or it is a dumb one. */
export function usesColour(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && !refusesColour();
}
