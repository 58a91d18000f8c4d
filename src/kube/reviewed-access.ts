/** What somebody wants to do, in the words of RBAC. */
export interface ReviewedAccess {
  readonly namespace: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name?: string;
}

/** The same for what is no resource: a path of HTTP. */
export interface ReviewedPath {
  readonly path: string;
  readonly verb: string;
}

/** What names it among others; no part of it holds a space, so they cannot flow into one another. */
export function accessWords(access: ReviewedAccess | ReviewedPath): string {
  if ("path" in access) return `${access.path} ${access.verb}`;
  const { namespace, verb, group, resource, subresource = "", name = "" } = access;
  return `${namespace} ${verb} ${group} ${resource} ${subresource} ${name}`;
}

/** As a SubjectAccessReview wants it. */
export function accessAttributes(access: ReviewedAccess | ReviewedPath): object {
  return "path" in access ? { nonResourceAttributes: access } : { resourceAttributes: access };
}
