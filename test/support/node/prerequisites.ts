/** Why the real node cannot run here, or undefined when it can. */
export function whyNoNode(): string | undefined {
  if (process.platform !== "linux") return `a real node needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "a real node needs root (network namespaces, mounts, cgroups): run it as root";
  return undefined;
}
