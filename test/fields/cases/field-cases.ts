import type { FieldCase } from "../../support/fields/field-case.ts";
import { CLUSTER_POLICY_CASES } from "./cluster-policy-cases.ts";
import { PLACED_ENDPOINT_CASES } from "./endpoint-cases.ts";
import { POLICY_CASES } from "./policy-cases.ts";
import { SUBSCRIPTION_CASES } from "./subscription-cases.ts";

/** One behaviour for each field; test/fields/coverage.test.ts says which are missing. */
export const FIELD_CASES: readonly FieldCase[] = [
  ...POLICY_CASES,
  ...CLUSTER_POLICY_CASES,
  ...SUBSCRIPTION_CASES,
  ...PLACED_ENDPOINT_CASES,
];
