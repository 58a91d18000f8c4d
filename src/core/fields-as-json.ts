/** Fields, each with the JSON of its value, as one object in the order of names' first appearance; repeated names give arrays. */
export function fieldsAsJson(fields: Iterable<readonly [name: string, json: string]>): string {
  const members = new Map<string, string[]>();
  for (const [name, json] of fields) {
    const values = members.get(name);
    if (values === undefined) members.set(name, [json]);
    else values.push(json);
  }
  const texts = [...members].map(
    ([name, values]) => `${JSON.stringify(name)}:${values.length === 1 ? values[0] : `[${values.join(",")}]`}`,
  );
  return `{${texts.join(",")}}`;
}
