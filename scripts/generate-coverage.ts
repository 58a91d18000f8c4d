import { FIELD_CASES } from "../test/fields/cases/field-cases.ts";
import { crdLeaves } from "../test/support/fields/crd-leaves.ts";

/** The kind that is refused as a whole by this version. */
const REFUSED_KIND = "DeliveryReplay";

/** docs/spec/coverage.md: every field of every resource, and whether a test fails when it is ignored. */
export function coveragePage(): string {
  const covered = new Set(FIELD_CASES.map(({ kind, field }) => `${kind} ${field}`));
  const spec = crdLeaves("spec");
  const missing = spec.filter(([kind, field]) => kind !== REFUSED_KIND && !covered.has(`${kind} ${field}`));
  const refused = spec.filter(([kind]) => kind === REFUSED_KIND).length;
  const rows = spec.map(([kind, field]) => {
    const shown = kind === REFUSED_KIND ? "refused as a whole (`NotImplemented`)" : covered.has(`${kind} ${field}`) ? "yes" : "**no**";
    return `| ${kind} | \`${field}\` | ${shown} |`;
  });
  return `# Which fields are shown to be obeyed

Generated from \`crds/\` and \`test/fields/cases/\` by \`npm run generate\`. For each field \`npx vitest run test/fields\` looks at the same behaviour twice, with the
field and as if it were ignored: it must show the first time and must not the second. Where that is what an endpoint was resolved to (\`tls\`,
\`auth.oauth2ClientCredentials\`, \`auth.serviceAccountToken\`, the proxy), \`test/integration/attempt/\` and \`test/integration/control-plane/service-account-token.test.ts\`
see the same on the wire. Each field of \`status\` is compared with its expected value in
\`test/fields/status.test.ts\`.

${spec.length} fields of \`spec\`: ${spec.length - refused - missing.length} shown, ${missing.length} missing, ${refused} of ${REFUSED_KIND}, which comes later.

| kind | field | a test fails when it is ignored |
| --- | --- | --- |
${rows.join("\n")}
`;
}
