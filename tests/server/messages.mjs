// Answers every request that node's parser reads whole; prints its port, ends with its input.
import http from "node:http";

const server = http.createServer((request, response) => {
  request.resume().on("end", () => response.end("ok"));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
