/** With which `npm run postrider` and the image start Node; test/unit/base-images.test.ts holds them to it. */
export const NODE_FLAGS: readonly string[] = ["--scavenger-max-new-space-capacity-mb=8", "--heap-growing-percent=60"];
/** The environment that they set beside: how glibc's malloc gives memory back. */
export const NODE_ENVIRONMENT: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_TRIM_THRESHOLD_: "131072",
  MALLOC_MMAP_THRESHOLD_: "131072",
};
