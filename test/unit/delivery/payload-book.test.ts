import { expect, it } from "vitest";
import { compileBody } from "../../../src/core/expression/compile.ts";
import { RouteTable, type Route } from "../../../src/core/route-table.ts";
import { PayloadBook, payloadKeyOf } from "../../../src/delivery/flight/payload-book.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { event } from "../../conformance/store/fixture.ts";
import { routeOf } from "../../support/sim/world.ts";
import { silentLog } from "../../support/silent-log.ts";

const DAY_MS = 86_400_000;
const log = silentLog;

function withBody(uid: string, body: string): Route {
  const { subscription, ...route } = routeOf(uid);
  const compiled = compileBody(body);
  const spec = { ...subscription.spec, payload: { format: "StandardWebhooks", formParameter: "payload", body } as const };
  return { ...route, subscription: { ...subscription, spec }, body: compiled.ok ? compiled.value : undefined };
}

it("shows what was sent before a spec changed as long as attempts are kept, and then lets go of the way it was made", async () => {
  const store = new MemoryStore();
  await store.open({ owner: "o", nowMs: 0, idempotencyTtlMs: 1_000 });
  const before = withBody("a", "{'before': event.type}");
  const after = withBody("a", "{'after': event.type}");
  const shown = (from: PayloadBook, { subscription }: Route): string | undefined => {
    const bytes = from.bodyOf({ requestBody: undefined, payloadKey: payloadKeyOf(subscription) }, event());
    return bytes === undefined ? undefined : Buffer.from(bytes).toString();
  };
  const book = new PayloadBook(store, log);
  book.note(RouteTable.build([before]));
  book.note(RouteTable.build([after]));
  await book.tidy(0);

  const next = new PayloadBook(store, log);
  await next.load();
  next.note(RouteTable.build([after]));
  await next.tidy(30 * DAY_MS);
  for (let look = 0; look < 2; look++) {
    expect([shown(next, before), shown(next, after)]).toEqual(['{"before":"order.created"}', '{"after":"order.created"}']);
  }
  await next.tidy(31 * DAY_MS);
  expect([shown(next, before), shown(next, after)]).toEqual([undefined, '{"after":"order.created"}']);
  expect((await store.listState("payload")).map(({ key }) => key)).toEqual([payloadKeyOf(after.subscription)]);
});
