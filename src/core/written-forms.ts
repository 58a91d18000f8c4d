/** A text as it is, and as JSON (with and without `\/`) and addresses write it; the same one may come twice. */
export function writtenForms(text: string): readonly string[] {
  const json = JSON.stringify(text).slice(1, -1);
  return [text, json, json.replaceAll("/", "\\/"), encodeURIComponent(text.toWellFormed())];
}
