import { describe } from "vitest";
import { acceptCases } from "./accept-cases.ts";
import { deadLetterCases } from "./dead-letter-cases.ts";
import { deliveryCases } from "./delivery-cases.ts";
import { eventPageCases } from "./event-page-cases.ts";
import type { Engine } from "./harness.ts";
import { historyCases } from "./history-cases.ts";
import { modelCases } from "./model-cases.ts";
import { parkedCases } from "./parked-cases.ts";
import { pageCases } from "./page-cases.ts";
import { orderCases } from "./order-cases.ts";
import { recallCases } from "./recall-cases.ts";
import { recordCases } from "./record-cases.ts";
import { resultCases } from "./result-cases.ts";
import { usageCases } from "./usage-cases.ts";

/** Everything any engine of the Store seam must do. PostgreSQL will run the same. */
export function storeConformance(engine: Engine): void {
  describe(`${engine.name} store`, () => {
    acceptCases(engine);
    deliveryCases(engine);
    orderCases(engine);
    pageCases(engine);
    parkedCases(engine);
    deadLetterCases(engine);
    historyCases(engine);
    eventPageCases(engine);
    recordCases(engine);
    resultCases(engine);
    usageCases(engine);
    describe("recalled", () => recallCases(engine));
    modelCases(engine);
  });
}
