/**
 * The finalizer that holds a subscription until the deliveries of one installation have ended. Its name tells whose they are: a subscription that
 * moves to another class has two for a while, and each installation takes off its own.
 */
const PREFIX = "drain.postrider.dev/";
/** Of versions up to 0.1, whose classes shared it and could not change. Replaced by the one of the class. */
export const SHARED_DRAIN_FINALIZER = "postrider.dev/drain";

export function drainFinalizer(className: string): string {
  return `${PREFIX}${className}`;
}

/** Whether a subscription of this class is held for it; of another class only the finalizer with the name of the class says so. */
export function isHeldFor(finalizers: readonly string[] | undefined, className: string): boolean {
  return finalizers?.some((name) => name === drainFinalizer(className) || name === SHARED_DRAIN_FINALIZER) ?? false;
}

/** The finalizers as they should be: with that of the class or without it. The same list where nothing is to be done. */
export function drainFinalizersAfter(before: readonly string[], className: string, isHeld: boolean): readonly string[] {
  const own = drainFinalizer(className);
  if (isHeld && before.includes(own) && !before.includes(SHARED_DRAIN_FINALIZER)) return before;
  if (!isHeld && !isHeldFor(before, className)) return before;
  if (isHeld) return [...before.filter((name) => name !== own && name !== SHARED_DRAIN_FINALIZER), own];
  // Next to ours the shared one is that of an older version of another class.
  const ours = before.includes(own) ? own : SHARED_DRAIN_FINALIZER;
  return before.filter((name) => name !== ours);
}

/** The other classes that still deliver what they accepted. */
export function drainingClasses(finalizers: readonly string[] | undefined, className: string): readonly string[] {
  return (finalizers ?? [])
    .filter((name) => name.startsWith(PREFIX) && name !== drainFinalizer(className))
    .map((name) => name.slice(PREFIX.length));
}
