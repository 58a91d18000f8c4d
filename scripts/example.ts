import { EXAMPLES } from "./example/example-list.ts";
import { runExample } from "./example/run-example.ts";

const [name = ""] = process.argv.slice(2);
const example = Object.hasOwn(EXAMPLES, name) ? EXAMPLES[name] : undefined;
if (example === undefined) {
  console.error(`usage: npm run example NAME, with NAME one of ${Object.keys(EXAMPLES).join(", ")}`);
  process.exitCode = 2;
} else {
  try {
    const allDelivered = await runExample(name, example, (line) => console.log(line));
    process.exitCode = allDelivered ? 0 : 1;
  } catch (error) {
    console.error(`example ${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
