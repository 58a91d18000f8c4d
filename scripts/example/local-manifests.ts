import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMap, parseAllDocuments } from "yaml";
import type { Document } from "yaml";

/** What lets a receiver on this machine be reached; a cluster needs none of it. */
const LOCAL_EGRESS = { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true };
const LOCAL_POLICY = `apiVersion: postrider.dev/v1alpha1
kind: ClusterDeliveryPolicy
metadata:
  name: this-machine
spec:
  egress:
    allowedCIDRs:
      - 127.0.0.0/8
    allowPlainHTTP: true
`;

/** Where and how an example runs on this machine. */
export interface LocalManifests {
  /** The example's folder. */
  readonly from: string;
  /** An absent or empty folder. */
  readonly to: string;
  /** Takes the place of scheme and host in every endpoint's URL, for example http://127.0.0.1:9999; paths stay. */
  readonly receiver: string;
}

/** Copies an example's manifests for a run on this machine: other receivers, an egress policy that lets them be reached, nothing else. */
export function writeLocalManifests({ from, to, receiver }: LocalManifests): void {
  mkdirSync(to, { recursive: true });
  let opened = false;
  for (const file of readdirSync(from).filter((name) => name.endsWith(".yaml"))) {
    const documents = parseAllDocuments(readFileSync(join(from, file), "utf8")) as Document[];
    for (const document of documents) {
      if (document.get("kind") === "ClusterDeliveryPolicy") {
        document.setIn(["spec", "egress"], document.createNode(LOCAL_EGRESS));
        opened = true;
      }
      const url = document.getIn(["spec", "endpoint", "url"]);
      if (isMap(document.contents) && typeof url === "string") {
        document.setIn(["spec", "endpoint", "url"], `${receiver}${new URL(url).pathname}`);
      }
    }
    writeFileSync(join(to, file), documents.map(String).join(""));
  }
  if (!opened) writeFileSync(join(to, "this-machine.yaml"), LOCAL_POLICY);
}
