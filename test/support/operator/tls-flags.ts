import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Certificate } from "../delivery/certificates.ts";

/** Writes a port's certificate and key into a folder. @returns the flags that name them */
export function tlsFlags(port: "ingest" | "api" | "metrics", folder: string, { cert, key }: Certificate): string[] {
  const [certificateFile, keyFile] = [join(folder, `${port}.crt`), join(folder, `${port}.key`)];
  writeFileSync(certificateFile, cert);
  writeFileSync(keyFile, key, { mode: 0o600 });
  return [`--${port}-tls-certificate-file=${certificateFile}`, `--${port}-tls-key-file=${keyFile}`];
}
