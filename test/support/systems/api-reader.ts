/** A delivery's row as the API lists it: the provider's schedule. */
export interface ScheduleRow {
  readonly id: string;
  readonly recordID: string | null;
  readonly firstAttemptTime: string | null;
  readonly eventType: string;
  readonly subscription: string;
  readonly state: string;
  readonly url: string;
  readonly attempts: number;
  readonly lastAttempt: { readonly statusCode: number | null } | null;
}

interface Message {
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: { readonly text: string } | null;
}

/** One firing as the API lists it: the provider's log. */
export interface LogRow {
  readonly time: string;
  readonly recordID: string | null;
  readonly connectionStatus: string;
  readonly tlsStatus: string;
  readonly statusCode: number | null;
  readonly url: string;
  readonly durationMs: number;
  readonly eventType: string;
  readonly request: Message;
  readonly response: Message;
}

/** The items of a list of the API port. */
export async function apiList<T>(api: string, path: string): Promise<readonly T[]> {
  const answer = await fetch(`${api}${path}`);
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
  return ((await answer.json()) as { items: T[] }).items;
}
