const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** UUID text as 16 bytes (half the index); any other text is stored as it is. */
export function packEventId(id: string): Uint8Array | string {
  return UUID.test(id) ? Buffer.from(id.replaceAll("-", ""), "hex") : id;
}

/** The text of a stored event id. */
export function unpackEventId(stored: unknown): string {
  if (typeof stored === "string") return stored;
  const { buffer, byteOffset, byteLength } = stored as Uint8Array;
  const hex = Buffer.from(buffer, byteOffset, byteLength).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
