/**
 * What the store's threads are asked by name: beside the packed operations of message.ts everything that is rare, and everything that is read. Both
 * ends are held to these signatures by the compiler; what crosses must survive a structured clone (reads) or JSON (writes).
 */
import type { Event } from "../../core/event.ts";
import type { EventFilter, EventPage } from "../event-page.ts";
import type {
  AttemptRecord,
  DeliveryFilter,
  DeliveryId,
  DeliveryRecord,
  Dropped,
  EndAllRequest,
  HistoryFilter,
  HistoryPage,
  ParkedQueue,
  PauseReason,
  QueueState,
  ReadyDelivery,
  Resent,
  StateEntry,
  StateKind,
  StoredResult,
  UnparkRequest,
} from "../store.ts";

/** The readers' part. `asOfMs` hides what is past its exact retention while its day's table still stands. */
export interface ReadCalls {
  due(subscription: string, nowMs: number, limit: number): readonly ReadyDelivery[];
  nextDue(limit: number): readonly { readonly subscription: string; readonly dueAtMs: number }[];
  fresh(afterId: DeliveryId, limit: number): readonly ReadyDelivery[];
  claimed(afterId: DeliveryId, limit: number): readonly ReadyDelivery[];
  queues(owner: string): readonly QueueState[];
  parked(): readonly ParkedQueue[];
  readEvent(namespace: string, eventId: string, asOfMs: number): Event | undefined;
  events(filter: EventFilter, asOfMs: number): EventPage;
  result(namespace: string, eventId: string, asOfMs: number): StoredResult | undefined;
  readBody(id: DeliveryId, asOfMs: number): Event | undefined;
  readDelivery(id: DeliveryId, asOfMs: number): DeliveryRecord | undefined;
  deliveriesOf(eventId: string, asOfMs: number): readonly DeliveryRecord[];
  attemptsOf(id: DeliveryId, asOfMs: number): readonly AttemptRecord[];
  listDeliveries(filter: DeliveryFilter, asOfMs: number): readonly DeliveryRecord[];
  history(filter: HistoryFilter, asOfMs: number): HistoryPage;
  listState(kind: StateKind): readonly { readonly key: string; readonly value: string }[];
}

/** The writer's part. */
export interface WriteCalls {
  endAll(request: EndAllRequest): number;
  resend(id: DeliveryId, nowMs: number): Resent;
  index(ids: readonly DeliveryId[]): void;
  setPause(subscription: string, reason: PauseReason, untilMs: number | null, nowMs: number): void;
  setForwarding(subscription: string, on: boolean, nowMs: number): void;
  unpark(request: UnparkRequest): number;
  forgetQueue(subscription: string, nowMs: number): void;
  putState(entries: readonly StateEntry[]): void;
  deleteState(kind: StateKind, key: string): void;
  dropExpired(nowMs: number): Dropped;
}

type ArgumentsOf<Calls> = { readonly [M in keyof Calls]: Calls[M] extends (...args: infer Given) => unknown ? Given : never };
type AnswersOf<Calls> = { readonly [M in keyof Calls]: Calls[M] extends (...args: never) => infer Answer ? Answer : never };

/** One call as it crosses: the name says what the arguments are. */
export type Call<Calls, M extends keyof Calls = keyof Calls> = {
  readonly [P in M]: { readonly method: P; readonly args: ArgumentsOf<Calls>[P] };
}[M];

export type AnswerTo<Calls, C extends Call<Calls>> = AnswersOf<Calls>[C["method"]];

/** Whoever answers `Calls`, in the form in which the compiler can follow a name to its arguments. */
type Answering<Calls> = { readonly [M in keyof Calls]: (...args: ArgumentsOf<Calls>[M] & readonly unknown[]) => AnswersOf<Calls>[M] };

/** The one place where a name that came from another thread is looked up. */
export function answerCall<Calls, M extends keyof Calls>(by: Answering<Calls>, call: Call<Calls, M>): AnswersOf<Calls>[M] {
  return by[call.method](...call.args);
}
