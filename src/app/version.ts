import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Of package.json, which is beside src/ in a checkout and in the image. */
export const VERSION: string = (JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as { version: string })
  .version;
