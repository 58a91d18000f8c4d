import { isCollection, isScalar, visit } from "yaml";
import type { Document } from "yaml";

/** A plain scalar that YAML 1.2 (we) and YAML 1.1 (kubectl) read differently. */
export interface AmbiguousScalar {
  readonly offset: number;
  readonly message: string;
}

const YAML_1_1_BOOLEAN = /^(y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF)$/;
/** Octal by a leading zero, and digits grouped by underscores. */
const YAML_1_1_NUMBER = /^[-+]?(0[0-7_]+|0b[01_]+|[1-9][0-9]*_[0-9_]*)$/;

/**
 * Plain words that would silently mean one thing here and another to kubectl: `yes` is a boolean there and a string here, `010` is 8
 * there and 10 here. Better refused than different.
 */
export function ambiguousScalars(document: Document.Parsed): AmbiguousScalar[] {
  const found: AmbiguousScalar[] = [];
  visit(document, {
    Scalar(_key, node) {
      if (!isScalar(node) || node.type !== "PLAIN") return;
      const source = node.source ?? "";
      const isBoolean = YAML_1_1_BOOLEAN.test(source);
      if (!isBoolean && !YAML_1_1_NUMBER.test(source)) return;
      const mend = isBoolean
        ? `write true or false, or quote it: "${source}"`
        : `write it without leading zeros and underscores, or quote it: "${source}"`;
      found.push({
        offset: node.range?.[0] ?? 0,
        message: `${source} without quotes means different things to different YAML readers: ${mend}`,
      });
    },
  });
  return found;
}

/** Offset of the first node nested deeper than `depthMax` collections, if there is one. */
export function deepNode(document: Document.Parsed, depthMax: number): number | undefined {
  let offset: number | undefined;
  visit(document, {
    Collection(_key, node, path) {
      if (path.filter((parent) => isCollection(parent)).length < depthMax) return undefined;
      offset = node.range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return offset;
}
