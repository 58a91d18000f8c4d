import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../lib/clock.ts";
import { pour } from "../lib/door/pour.ts";
import { Pot } from "../lib/door/pot.ts";
import { CONTENT_TYPES, type PageForm } from "./exposition.ts";
import type { Metrics } from "./metrics.ts";
import { packPage, unpacked, type PackedPage } from "./packed-page.ts";
import { ScrapeDesk } from "./scrape-desk.ts";

/** Pages that wait for slow readers; one more gets in, and the oldest of the address with most is given up. */
const SLOW_SCRAPES_MAX = 4;

export const SCRAPE_PATHS = ["/metrics", "/metrics/per-subscription"] as const;
export type ScrapePath = (typeof SCRAPE_PATHS)[number];
type PageName = `${PageForm} ${ScrapePath}`;

export interface ScrapeGiven {
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Closes the connection of a reader who does not read. */
  readonly giveUp: (request: IncomingMessage) => void;
}

/** Answers scrapes: a page in the format and the coding that its reader asks for. */
export class Scrapes {
  readonly #given: ScrapeGiven;
  readonly #desk: ScrapeDesk<PageName, PackedPage>;
  /** Scrapes whose text waits for the reader. */
  readonly #slow = new Pot<IncomingMessage>(SLOW_SCRAPES_MAX);

  constructor(given: ScrapeGiven) {
    this.#given = given;
    this.#desk = new ScrapeDesk({ clock: given.clock, make: (page) => this.#make(page) });
  }

  /** Rejects with what making the page threw, before anything is answered, or with what ended it. */
  async answer(path: ScrapePath, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const form = formFor(request.headers.accept);
      const page = await this.#desk.page(`${form} ${path}`);
      if (response.destroyed) return;
      const isPacked = takesGzip(request.headers["accept-encoding"]);
      response.writeHead(200, {
        "Content-Type": CONTENT_TYPES[form],
        "Cache-Control": "no-store",
        Vary: "Accept, Accept-Encoding",
        "Content-Length": isPacked ? page.gzipBytes : page.bytes,
        ...(isPacked ? { "Content-Encoding": "gzip" } : {}),
      });
      if (request.method === "HEAD") return void response.end();
      const { clock, giveUp } = this.#given;
      const onSlow = (): void => {
        for (const given of this.#slow.enter(request, request.socket.remoteAddress ?? "")) giveUp(given);
      };
      await pour(response, isPacked ? page.gzip : unpacked(page), { clock, onSlow });
    } finally {
      this.#slow.leave(request);
    }
  }

  async #make(page: PageName): Promise<PackedPage> {
    const { metrics, clock } = this.#given;
    const [form, path] = page.split(" ") as [PageForm, ScrapePath];
    return packPage(path === "/metrics" ? [await metrics.expose(form)] : metrics.exposeSubscriptions(form), clock);
  }
}

/** The format that a reader would rather have; text for one that says nothing. */
export function formFor(accept: string | undefined): PageForm {
  const openMetrics = weightOf(accept, (type) => type === "application/openmetrics-text") ?? 0;
  if (openMetrics === 0) return "text";
  return openMetrics >= (weightOf(accept, (type) => type === "text/plain") ?? 0) ? "openmetrics" : "text";
}

export function takesGzip(acceptEncoding: string | undefined): boolean {
  const named = weightOf(acceptEncoding, (coding) => coding === "gzip" || coding === "x-gzip");
  return (named ?? weightOf(acceptEncoding, (coding) => coding === "*") ?? 0) > 0;
}

/** The greatest weight (RFC 9110 12.4.2) of those that are meant; undefined where none is named. */
function weightOf(header: string | undefined, isMeant: (name: string) => boolean): number | undefined {
  let weight: number | undefined;
  for (const part of (header ?? "").toLowerCase().split(",")) {
    const [name = "", ...parameters] = part.split(";").map((text) => text.trim());
    if (!isMeant(name)) continue;
    const q = parameters.find((text) => text.startsWith("q="))?.slice(2);
    weight = Math.max(weight ?? 0, q === undefined ? 1 : Number(q) || 0);
  }
  return weight;
}
