/** Processor time that this thread has had, ms; goes up in steps of some milliseconds on some machines. */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
