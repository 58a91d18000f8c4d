import type { X509Certificate } from "node:crypto";

/**
 * From when to when a certificate is valid, ms since the epoch; NaN for a time that cannot be read. Of such a time Node's `validToDate` is whatever was in
 * memory (Node 24: sometimes a date, sometimes none), so the text decides whether there is one.
 */
export function validityOf(certificate: X509Certificate): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  const { validFrom, validTo, validFromDate, validToDate } = certificate;
  return { notBeforeMs: readable(validFrom, validFromDate), notAfterMs: readable(validTo, validToDate) };
}

function readable(text: string, date: Date): number {
  return Number.isNaN(Date.parse(text)) ? Number.NaN : date.getTime();
}
