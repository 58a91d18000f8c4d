/**
 * Objects of which exactly one field is set, by the names of these fields. The rules of the CRDs are written from these lists, and a list only
 * grows: an object that was valid stays so, and a reader that is one version older knows by its own list that it does not know the new field
 * (`newer-objects.ts`). The order is the order of the messages.
 */
export const UNIONS = {
  endpoint: ["url", "urlSecretRef", "serviceRef"],
  auth: ["bearer", "basic", "oauth2ClientCredentials", "serviceAccountToken"],
  header: ["value", "valueFrom"],
  basicUser: ["username", "usernameSecretRef"],
} as const satisfies Readonly<Record<string, readonly string[]>>;
