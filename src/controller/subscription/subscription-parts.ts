import type { ReconcilerParts } from "../reconciler.ts";
import type { AcceptedBook } from "./accepted-specs.ts";
import type { DependencyIndex } from "./dependency-index.ts";
import type { ExpressionCache } from "./expression-cache.ts";
import type { KnownBook } from "./known-book.ts";
import type { RouteBook } from "./route-book.ts";

/** What all that is done about subscriptions shares; made once, by `SubscriptionReconciler`. */
export interface SubscriptionParts extends ReconcilerParts {
  readonly known: KnownBook;
  readonly accepted: AcceptedBook;
  readonly routes: RouteBook;
  readonly dependencies: DependencyIndex;
  readonly expressions: ExpressionCache;
  /** `--class`: subscriptions of other classes are not seen. */
  readonly className: string;
  /** `--system-namespace`: where Secrets live that cluster policies name. */
  readonly systemNamespace: string;
}
