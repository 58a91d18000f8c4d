import { deadLetterOwner, deadLetterRoute } from "../core/dead-letter.ts";
import { RouteTable, type Route } from "../core/route-table.ts";
import type { SubscriptionName } from "../core/subscription.ts";

/** The routing table in force. Lanes may lie behind it for a moment: RouteWatch brings its routes to them. */
export class RoutesInForce {
  #table: RouteTable = RouteTable.empty;

  get table(): RouteTable {
    return this.#table;
  }

  replace(table: RouteTable): void {
    this.#table = table;
  }

  /** The route of a queue: a subscription's, or that of its dead letters. */
  routeOf(uid: string): Route | undefined {
    const owner = deadLetterOwner(uid);
    return owner === undefined ? this.#table.byUid(uid) : deadLetterRoute(this.#table.byUid(owner));
  }

  /** Whether another subscription has the name of one that is gone. */
  isNameTaken({ uid, namespace, name }: SubscriptionName & { readonly uid: string }): boolean {
    return this.#table.byUid(uid) === undefined && this.#names().has(`${namespace}/${name}`);
  }

  /** Those of an earlier table that are gone, and whose name nobody has now. */
  goneSince(before: RouteTable): Route[] {
    const gone = [...before.routes()].filter(({ subscription }) => this.#table.byUid(subscription.uid) === undefined);
    if (gone.length === 0) return gone;
    const names = this.#names();
    return gone.filter(({ subscription: { namespace, name } }) => !names.has(`${namespace}/${name}`));
  }

  #names(): Set<string> {
    return new Set([...this.#table.routes()].map(({ subscription: { namespace, name } }) => `${namespace}/${name}`));
  }
}
