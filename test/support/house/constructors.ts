import type { Breach } from "./rules.ts";

const LINES_MAX = 30;

/** A constructor is a list of parts in the order of need; one that is longer makes too much by itself. */
export function longConstructors(file: string, text: string): Breach[] {
  return constructorsOf(text)
    .map((body) => body.split("\n").length - 2)
    .filter((lines) => lines > LINES_MAX)
    .map((lines) => ({ file, message: `a constructor of ${lines} lines is not allowed: make parts of parts, ${LINES_MAX} lines at most` }));
}

/**
 * Closures of a constructor that reach for a field which it fills further down. They tie circles that no import shows, and whoever calls one too
 * early finds nothing.
 */
export function earlyCaptures(file: string, text: string): Breach[] {
  return constructorsOf(text).flatMap((body) =>
    capturedEarly(body).map((field) => ({
      file,
      message: `${field} is not to be captured before it exists: make what needs it after it`,
    })),
  );
}

function constructorsOf(text: string): string[] {
  return [...text.matchAll(/^ {2}constructor\([\s\S]*?^ {2}\}$/gm)].map(([body]) => body);
}

function capturedEarly(body: string): string[] {
  const statements = body.split(/;\n {4}(?=\S)/);
  return statements.flatMap((statement, at) => {
    const later = statements.slice(at + 1);
    return [...statement.matchAll(/=>[^=]*?(this\.#?\w+)/g)]
      .map(([, field = ""]) => field)
      .filter((field) => later.some((next) => new RegExp(`^${field}\\s*=[^=>]`, "m").test(next)));
  });
}
