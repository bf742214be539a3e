// ioredis: what it sends on connect, replies as JavaScript sees them, pipelines, buffers, SCAN.
// Takes the port of an empty server, which may be one of three that form a cluster; says what is
// wrong, and exits with 1 if anything is.

import assert from "node:assert/strict";
import Redis from "ioredis";

const port = Number(process.argv[2]);
let count = 0;
let failed = 0;

async function check(what, work) {
  count += 1;
  try {
    await work();
  } catch (error) {
    failed += 1;
    console.log(`${what}: ${error.message}`);
  }
}
const equal = (what, promise, expected) =>
  check(what, async () => assert.deepEqual(await promise, expected));
const refused = (what, promise, message) => check(what, () => assert.rejects(promise, { message }));

// The name is sent on connect, INFO is read until it says loading:0.
const client = new Redis({
  port,
  connectionName: "tester",
  enableReadyCheck: true,
  maxRetriesPerRequest: 0,
  retryStrategy: null, // a server that is gone is not waited for
});
client.on("error", (error) => console.log(`connection: ${error.message}`));

await equal("flushall", client.flushall(), "OK");
await equal("ping", client.ping(), "PONG");
await equal("client getname", client.client("GETNAME"), "tester");
await equal("set", client.set("k", "v"), "OK");
await equal("get", client.get("k"), "v");
await equal("get of nothing", client.get("absent"), null);
await equal("set nx", client.set("k", "w", "NX"), null);
await equal("set xx get", client.set("k", "w", "XX", "GET"), "v");
await equal("setnx", client.setnx("k", "x"), 0);
await equal("append", client.append("k", "xyz"), 4);
await equal("strlen", client.strlen("k"), 4);
await equal("type", client.type("k"), "string");
await equal("getset", client.getset("k", "new"), "wxyz");
await equal("getdel", client.getdel("k"), "new");
await equal("incr", client.incr("n"), 1);
await equal("incrby", client.incrby("n", 41), 42);
await equal("decr", client.decr("n"), 41);
await equal("decrby", client.decrby("n", 42), -1);
await equal("mset", client.mset("a", 1, "b", 2), "OK");
await equal("mget", client.mget("a", "absent", "b"), ["1", null, "2"]);
await equal("exists", client.exists("a", "b", "absent"), 2);
await equal("del", client.del("a", "b", "absent"), 2);
await equal("dbsize", client.dbsize(), 1);
const inCluster = (await client.info()).includes("redis_mode:cluster");
await equal("wait", client.wait(0, 0), inCluster ? 1 : 0);
await client.set("word", "x");
await refused("incr of a word", client.incr("word"),
  "ERR value is not an integer or out of range");
await refused("arity", client.call("GET"), "ERR wrong number of arguments for 'get' command");
await refused("unknown", client.call("NONSENSE", "a"),
  "ERR unknown command 'NONSENSE', with args beginning with: 'a' ");

const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
await equal("binary set", client.set(bytes, bytes), "OK");
await equal("binary get", client.getBuffer(bytes), bytes);
await equal("binary del", client.del(bytes), 1);

await check("pipeline", async () => {
  const pipeline = client.pipeline();
  for (let i = 0; i < 1000; i += 1) pipeline.set(`key:${i}`, i).get(`key:${i}`);
  pipeline.incr("word");
  const replies = await pipeline.exec();
  assert.equal(replies.length, 2001);
  for (let i = 0; i < 1000; i += 1) {
    assert.deepEqual(replies[2 * i], [null, "OK"]);
    assert.deepEqual(replies[2 * i + 1], [null, String(i)]);
  }
  assert.equal(replies[2000][0].message, "ERR value is not an integer or out of range");
});
await check("automatic pipelining", async () => {
  const many = new Redis({ port, enableAutoPipelining: true });
  const got = await Promise.all(Array.from({ length: 100 }, (_, i) => many.get(`key:${i}`)));
  assert.deepEqual(got, Array.from({ length: 100 }, (_, i) => String(i)));
  await many.quit();
});
await check("scanStream", async () => {
  const keys = new Set();
  for await (const some of client.scanStream({ match: "key:*", count: 50, type: "string" })) {
    some.forEach((key) => keys.add(key));
  }
  assert.deepEqual([...keys].sort(), Array.from({ length: 1000 }, (_, i) => `key:${i}`).sort());
});

await check("hello 3 and client info", async () => {
  const info = await client.client("INFO");
  assert.match(info, /^id=\d+ addr=127\.0\.0\.1:\d+ .*name=tester /);
});
await check("client list and kill", async () => {
  const victim = new Redis({ port, connectionName: "victim", retryStrategy: null });
  const ended = new Promise((resolve) => victim.once("end", resolve));
  const id = await victim.client("ID");
  assert.match(await client.client("LIST"), new RegExp(`(^|\\n)id=${id} .*name=victim `));
  assert.equal(await client.client("KILL", "ID", id), 1);
  await ended;
});
await check("info", async () => {
  const info = await client.info();
  for (const line of ["role:master", "loading:0"]) {
    assert.ok(info.split("\r\n").includes(line), `no ${line}`);
  }
  assert.match(info, /\r\nredis_mode:(standalone|cluster)\r\n/);
});
await check("config get", async () => {
  const [name] = await client.config("GET", "maxmemory");
  assert.equal(name, "maxmemory");
});
await check("command", async () => {
  const [get] = await client.command("INFO", "get");
  assert.deepEqual([get[0], get[1], get[3], get[4], get[5]], ["get", 2, 1, 1, 1]);
  assert.ok((await client.command("COUNT")) > 10);
});
await check("memory usage", async () => assert.ok((await client.memory("USAGE", "word")) > 0));
await check("time", async () => assert.equal((await client.time()).length, 2));
await equal("slowlog", client.slowlog("RESET"), "OK");
await equal("quit", client.quit(), "OK");

console.log(`${count} checks, ${failed} failed`);
process.exit(failed ? 1 : 0);
