/** How each field of a value is compared. A field that is added to the type must be added here too, or this does not compile. */
export type Comparison<T> = { readonly [K in keyof T]-?: (a: T[K], b: T[K]) => boolean };

/** Whether two values are the same in every field; both may be absent. */
export function isSameBy<T extends object>(comparison: Comparison<T>, a: T | undefined, b: T | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  for (const field in comparison) if (!comparison[field](a[field], b[field])) return false;
  return true;
}

/** For fields without parts. */
export function isIdentical(a: unknown, b: unknown): boolean {
  return a === b;
}

/** For fields that are values of their own. */
export function sameBy<T extends object>(comparison: Comparison<T>): (a: T | undefined, b: T | undefined) => boolean {
  return (a, b) => isSameBy(comparison, a, b);
}
