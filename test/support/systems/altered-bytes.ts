/** The same bytes but one: what a check of every byte must tell from the original. */
export function withOneByteChanged(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = changed[at]! ^ 0x01;
  return changed;
}
