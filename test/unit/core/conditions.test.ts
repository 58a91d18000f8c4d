import { describe, expect, it } from "vitest";
import { CONDITION_MESSAGE_CHARS_MAX, mergeConditions, movedConditions } from "../../../src/core/conditions.ts";
import type { ConditionDraft } from "../../../src/core/conditions.ts";

const draft = (status: ConditionDraft["status"], reason: ConditionDraft["reason"] = "NotProgrammed", message = "m"): ConditionDraft => ({
  type: "Ready",
  status,
  reason,
  message,
});
const T0 = Date.UTC(2026, 0, 1);

describe("conditions", () => {
  const before = mergeConditions([], [draft("False")], 1, T0);

  it("move their time only when the status moves, not with reason, message or generation", () => {
    expect(before[0]?.lastTransitionTime).toBe("2026-01-01T00:00:00Z");
    expect(mergeConditions(before, [draft("False", "Draining", "words")], 2, T0 + 5_000)[0]).toEqual({
      ...draft("False", "Draining", "words"),
      lastTransitionTime: "2026-01-01T00:00:00Z",
      observedGeneration: 2,
    });
    expect(mergeConditions(before, [draft("True")], 2, T0 + 5_900)[0]?.lastTransitionTime).toBe("2026-01-01T00:00:05Z");
  });

  it("are told of when status or reason move, not for new words", () => {
    expect(movedConditions(before, [draft("False", "NotProgrammed", "words")])).toEqual([]);
    expect(movedConditions(before, [draft("False", "Draining")])).toHaveLength(1);
    expect(movedConditions(before, [draft("True")])).toHaveLength(1);
    expect(movedConditions([], [draft("True")])).toHaveLength(1);
  });

  it("have bounded messages", () => {
    expect(mergeConditions([], [draft("True", "NotProgrammed", "x".repeat(9_999))], 1, T0)[0]?.message).toHaveLength(
      CONDITION_MESSAGE_CHARS_MAX,
    );
  });
});
