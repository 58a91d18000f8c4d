/**
 * The chart carries the CRDs as templates and not in its crds/ folder, because Helm never upgrades what is in that folder.
 * Each template is the file of crds/ with crds.enabled around it, and crds.keep and crds.annotations in it.
 */

const TEMPLATE_FOLDER = "charts/postrider/templates/crds";

/** `crds/<name>.yaml` and its text → the chart template made of it, by path. @throws Error when the text has no metadata line. */
export function chartTemplate(path: string, crd: string): [path: string, template: string] {
  const lines = escaped(crd).split("\n");
  const metadata = lines.indexOf("metadata:");
  if (metadata < 0) throw new Error(`${path} has no top-level metadata`);
  lines.splice(
    metadata + 1,
    0,
    "  labels:",
    '    {{- include "postrider.labels" . | nindent 4 }}',
    '  {{- include "postrider.annotations" (list (.Values.crds.keep | ternary (dict "helm.sh/resource-policy" "keep") dict) .Values.crds.annotations) | nindent 2 }}',
  );
  const body = lines.filter((line) => !line.startsWith("# Generated")).join("\n");
  const name = path.replace(/^crds\//, "");
  return [
    `${TEMPLATE_FOLDER}/${name}`,
    `{{- /* Generated from ${path} by \`npm run generate\`. */ -}}\n{{- if .Values.crds.enabled }}\n${body.trimEnd()}\n{{- end }}\n`,
  ];
}

/** Braces in a description or a default are text, never template actions. */
function escaped(text: string): string {
  return text.replaceAll("{{", '{{ "{{" }}');
}
