/** With which `npm run postrider` and the image start Node; test/unit/base-images.test.ts holds them to it. */
export const NODE_FLAGS: readonly string[] = ["--max-semi-space-size=16"];
