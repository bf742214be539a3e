// ioredis's cluster client against three nodes, while a shard changes its leader and when a node
// dies. Takes the ports of three nodes, which have the ids 1 to 3, then the port and the process of
// one of them: it is killed on the way. Says what is wrong, and exits with 1 if anything is.

import assert from "node:assert/strict";
import Redis from "ioredis";

const numbers = process.argv.slice(2).map(Number);
assert.ok(numbers.length === 5 && numbers.every(Number.isInteger), "PORT PORT PORT PORT PID");
const [victim, pid] = numbers.splice(3);
const ports = numbers;
const KEYS = 600;
const TRIES = 1000;
let count = 0;
let failed = 0;

async function check(what, work) {
  count += 1;
  try {
    await work();
  } catch (error) {
    failed += 1;
    console.log(`${what}: ${error.message.slice(0, 400)}`);
  }
}
const equal = (what, promise, expected) =>
  check(what, async () => assert.deepEqual(await promise, expected));
const all = (many) => Promise.all(many);
const each = (make) => Array.from({ length: KEYS }, (_, i) => make(i));

function connect(options) {
  const client = new Redis.Cluster(ports.map((port) => ({ host: "127.0.0.1", port })), {
    maxRedirections: 100, // enough to live through an election, a tenth of a second between two
    ...options,
  });
  client.on("error", (error) => console.log(`connection: ${error.message}`));
  return client;
}
const portsOf = (client, role) => client.nodes(role).map((node) => node.options.port).sort();

async function work(client, what) {
  const name = (i) => `${what}:${i}`;
  await equal(`${what}: set`, all(each((i) => client.set(name(i), i))), each(() => "OK"));
  await equal(`${what}: get`, all(each((i) => client.get(name(i)))), each(String));
  await equal(`${what}: incr`, all(each((i) => client.incr(name(i)))), each((i) => i + 1));
  await equal(`${what}: del`, all(each((i) => client.del(name(i)))), each(() => 1));
  await equal(`${what}: get of nothing`, all(each((i) => client.get(name(i)))), each(() => null));
}

async function manyKeys(client) {
  await equal("mset", client.mset("{x}a", 1, "{x}b", 2), "OK");
  await equal("mget", client.mget("{x}a", "{x}no", "{x}b"), ["1", null, "2"]);
  await equal("pipeline", client.pipeline().set("{x}a", 5).incr("{x}a").del("{x}b").exec(),
    [[null, "OK"], [null, 6], [null, 1]]);
  await equal("del", client.del("{x}a"), 1);
  await all(each((i) => client.set(`many:${i}`, i)));
  await check("scanStream of each master", async () => {
    const found = new Set();
    for (const node of client.nodes("master")) {
      for await (const some of node.scanStream({ match: "many:*", count: 50 })) {
        some.forEach((key) => found.add(key));
      }
    }
    assert.deepEqual([...found].sort(), each((i) => `many:${i}`).sort());
  });
  await check("keys and dbsize of each master", async () => {
    const keys = await all(client.nodes("master").map((node) => node.keys("many:*")));
    assert.equal(new Set(keys.flat()).size, KEYS);
    const sizes = await all(client.nodes("master").map((node) => node.dbsize()));
    assert.deepEqual(sizes, keys.map((some) => some.length));
    if (!redirected) return; // else a node that was asked nothing before counts those of all
    assert.equal(sizes.reduce((sum, size) => sum + size), KEYS);
    assert.ok(sizes.every((size) => size > 0), `not spread: ${sizes}`);
  });
  await all(client.nodes("master").map((node) => node.flushall()));
  await check("flushall of each master", async () => {
    const sizes = await all(client.nodes("master").map((node) => node.dbsize()));
    assert.deepEqual(sizes, [0, 0, 0]);
  });
}

// Whether a client that has asked nothing is told CROSSSLOT and MOVED: on_follower.
async function nodesRedirect() {
  const plain = new Redis({ port: ports[0] });
  const refusal = await plain.mget("a", "b", "c").then(() => "", (error) => error.message);
  await plain.quit();
  return refusal.startsWith("CROSSSLOT");
}

async function leaderOf(shard) {
  const first = new Redis({ port: ports[0] });
  const info = await first.info("raft");
  await first.quit();
  return Number(info.match(new RegExp(`shard${shard}:.*leader=(\\d+)`))[1]);
}

async function changeLeader(client) {
  const before = await leaderOf(0);
  const after = (before % ports.length) + 1;
  const leader = client.nodes("master").find((node) => node.options.port === ports[before - 1]);
  await equal("transfer", leader.call("CLUSTER", "TRANSFER", 0, after), "OK");
  await equal("the leader", leaderOf(0), after);
  await work(client, "behind a transfer");
}

// A write that was under way when the node died may be told that nobody knows.
async function setInTheEnd(client, name, value) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await client.set(name, value);
    } catch (error) {
      if (tries === TRIES || !/outcome unknown|no leader/.test(error.message)) throw error;
    }
  }
}

async function loseANode(client) {
  await all(each((i) => client.set(`kept:${i}`, i)));
  process.kill(pid, "SIGKILL");
  await equal("set in the end", all(each((i) => setInTheEnd(client, `new:${i}`, i))),
    each(() => "OK"));
  await equal("what is new", all(each((i) => client.get(`new:${i}`))), each(String));
  await work(client, "behind a loss");
  await equal("what was there", all(each((i) => client.get(`kept:${i}`))), each(String));
  await check("masters that are left", async () => {
    assert.deepEqual(portsOf(client, "master"), ports.filter((port) => port !== victim).sort());
  });
}

const redirected = await nodesRedirect();
const client = connect({});
await work(client, "cluster");
await check("masters", () => assert.deepEqual(portsOf(client, "master"), [...ports].sort()));
await check("replicas", () => assert.deepEqual(portsOf(client, "slave"), []));
await manyKeys(client);
for (const options of [{ scaleReads: "slave" }, { scaleReads: "all" },
  { enableAutoPipelining: true }]) {
  const other = connect(options);
  await work(other, JSON.stringify(options));
  await other.quit();
}
await changeLeader(client);
await loseANode(client);
client.disconnect();

console.log(`${count} checks, ${failed} failed`);
process.exit(failed ? 1 : 0);
