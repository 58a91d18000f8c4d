/** Stands for the code of an error that has none. */
export const UNKNOWN_CODE = "EUNKNOWN";

/** The code of an error of Node, c-ares, OpenSSL or undici; undefined where it has none, or is no error. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
