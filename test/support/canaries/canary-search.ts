/** Forms in which a value could lie somewhere: as it is, in base64 at each of its three alignments, in hex and percent-encoded. */
export function formsOf(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  const hex = bytes.toString("hex");
  const percent = hex.replace(/../g, "%$&");
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    // What the neighbours' bits take part in is left out at both ends.
    return text.slice(shift === 0 ? 0 : shift + 1, -4);
  });
  return [
    ...new Set([
      value,
      JSON.stringify(value).slice(1, -1),
      ...base64,
      ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
      hex,
      hex.toUpperCase(),
      percent,
      percent.toUpperCase(),
      encodeURIComponent(value),
      encodeURI(value),
    ]),
  ];
}

/** Where canaries were found: `name in place`, each once. Both records go by name. */
export function canaryHits(canaries: Readonly<Record<string, string>>, places: Readonly<Record<string, string>>): readonly string[] {
  const hits = new Set<string>();
  for (const [name, value] of Object.entries(canaries)) {
    for (const [place, text] of Object.entries(places))
      if (formsOf(value).some((form) => text.includes(form))) hits.add(`${name} in ${place}`);
  }
  return [...hits];
}
