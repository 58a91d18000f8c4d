import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { ListenError, listenOn } from "../../../src/lib/listen.ts";

it("a port in use names the flag that chooses another one, and says the system's code to nobody", async () => {
  const first = createServer();
  await listenOn(first, { host: "127.0.0.1", port: 0 });
  const { port } = first.address() as AddressInfo;
  const second = createServer();
  const refused = listenOn(second, { host: "127.0.0.1", port, flag: "--ingest-listen" });
  await expect(refused).rejects.toThrow(ListenError);
  await expect(refused).rejects.toThrow(new RegExp(`^port ${port} is in use on 127\\.0\\.0\\.1: choose another with --ingest-listen`));
  await expect(refused).rejects.not.toThrow("EADDRINUSE");
  first.close();
});

it.each([
  ["203.0.113.7", /^203\.0\.113\.7 is not an address of this machine: choose another with --port$/],
  ["no.such.host.invalid", /no\.such\.host\.invalid.*choose another with --port$/],
])("an address that is none: %s", async (host, message) => {
  await expect(listenOn(createServer(), { host, port: 0, flag: "--port" })).rejects.toThrow(message);
});
