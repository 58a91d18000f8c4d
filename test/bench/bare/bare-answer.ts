/** Bare figure: node:http that reads a body, parses it and answers 202. Prints its address, then serves until stdin closes. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const answer = Buffer.from('{"statusCode":202,"status":"processing"}');
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    JSON.parse(Buffer.concat(chunks).toString("utf8"));
    response.writeHead(202, { "content-type": "application/json", "content-length": answer.length }).end(answer);
  });
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
process.stdin.on("end", () => {
  server.closeAllConnections();
  server.close();
});
process.stdin.resume();
