import { afterEach, beforeEach, vi } from "vitest";

/** What commands print in a test, both streams together; each test begins with nothing, and with no exit code. */
export interface Printed {
  text: string;
}

/** Takes over stdout and stderr for every test of the file or block that calls it. */
export function printed(): Printed {
  const all: Printed = { text: "" };
  beforeEach(() => {
    all.text = "";
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, "write").mockImplementation((text) => {
        all.text += String(text);
        return true;
      });
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
    process.exitCode = undefined;
  });
  return all;
}
