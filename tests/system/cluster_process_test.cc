/// Real processes on loopback as one cluster: they form, elect, replicate, redirect, survive the
/// loss of any one under load, and take it back.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "tests/system/cluster.h"

namespace kv::test {
namespace {

/// Small, so that a few megabytes are more than the log keeps.
const Args short_logs{"--set", "wal.segment_bytes=128KiB",    "--set", "wal.bytes_max=2MiB",
                      "--set", "wal.batch_bytes_max=32KiB",   "--set", "snapshot.wal_bytes=64KiB",
                      "--set", "limits.value_bytes_max=32KiB"};

/// One client that writes keys of its own and knows what they may hold: what was acknowledged last,
/// or any write since of which nobody knows what became. Half of them count with INCR, which would
/// show a write that was carried out twice.
class Client {
public:
    Client(std::size_t number, const std::vector<std::uint16_t>& ports)
        : number_(number), to_(ports), from_(ports) {}

    /// One write, and now and then a read of what must be there.
    void step() {
        const std::size_t at = steps_++ % keys;
        if (number_ % 2 == 0) {
            set(at);
            if (steps_ % 5 == 0) get((steps_ / 5) % keys);
        } else {
            count(at);
        }
    }
    /// Reads all keys.
    void verify() {
        for (std::size_t at = 0; at < keys; ++at) get(at);
    }
    /// Replies that no correct cluster gives.
    const std::string& complaint() const noexcept { return complaint_; }
    std::uint64_t acknowledged() const noexcept { return acknowledged_; }
    std::uint64_t redirects() const noexcept { return to_.redirects() + from_.redirects(); }

private:
    static constexpr std::size_t keys = 50;
    struct Key {
        std::vector<std::uint64_t> possible{0};  ///< numbers of writes; 0: not there
        std::uint64_t counted = 0;               ///< acknowledged INCRs
        std::uint64_t unknown = 0;               ///< further ones that may have been carried out
    };

    std::string name(std::size_t at) const { return fmt::format("client-{}-{}", number_, at); }
    void complain(std::size_t at, const std::string& reply) {
        if (complaint_.empty()) complaint_ = fmt::format("{}: {:?}", name(at), reply);
    }

    void set(std::size_t at) {
        Key& key = keys_[at];
        const std::uint64_t value = ++writes_;
        const std::string reply = to_.ask(fmt::format("SET {} {}\n", name(at), value), false);
        if (reply == "OK\n") {
            key.possible.assign(1, value);
            ++acknowledged_;
        } else if (reply.empty()) {
            key.possible.push_back(value);
        } else {
            complain(at, reply);
        }
    }

    void get(std::size_t at) {
        const Key& key = keys_[at];
        const std::string reply = from_.ask(fmt::format("GET {}\n", name(at)), true);
        const auto is_it = [&](std::uint64_t value) {
            return reply == (value == 0 ? "NOT_FOUND\n" : fmt::format("VALUE {}\n", value));
        };
        bool right = std::ranges::any_of(key.possible, is_it);
        if (number_ % 2 == 1) {
            right = false;
            for (std::uint64_t n = key.counted; n <= key.counted + key.unknown; ++n) {
                right = right || is_it(n);
            }
        }
        if (!right) complain(at, reply);
    }

    void count(std::size_t at) {
        Key& key = keys_[at];
        const std::string reply = to_.ask(fmt::format("INCR {}\r\n", name(at)), false);
        if (reply.empty()) {
            ++key.unknown;
            return;
        }
        for (std::uint64_t n = key.counted + 1; n <= key.counted + key.unknown + 1; ++n) {
            if (reply != fmt::format(":{}\r\n", n)) continue;
            key.counted = n;
            key.unknown = 0;
            ++acknowledged_;
            return;
        }
        complain(at, reply);
    }

    std::size_t number_;
    LeaderClient to_;
    LeaderClient from_;  ///< text: a connection has one protocol
    std::vector<Key> keys_{keys};
    std::uint64_t steps_ = 0;
    std::uint64_t writes_ = 0;
    std::atomic<std::uint64_t> acknowledged_ = 0;
    std::string complaint_;
};

/// Clients, each on a thread, from the start to the end of the object.
class Load {
public:
    explicit Load(const Cluster& cluster) {
        for (std::size_t i = 0; i < clients; ++i) {
            clients_.push_back(std::make_unique<Client>(i, cluster.client_ports()));
            threads_.emplace_back([this, client = clients_.back().get()] {
                while (!stop_ && client->complaint().empty()) client->step();
            });
        }
    }
    ~Load() { stop(); }
    Load(const Load&) = delete;

    /// Waits until each client has `count` more writes acknowledged.
    bool goes_on(std::uint64_t count) {
        std::vector<std::uint64_t> wanted;
        for (const auto& client : clients_) wanted.push_back(client->acknowledged() + count);
        return eventually([&] {
            for (std::size_t i = 0; i < clients; ++i) {
                if (clients_[i]->acknowledged() < wanted[i]) return false;
            }
            return true;
        });
    }
    void stop() {
        stop_ = true;
        threads_.clear();
    }
    /// After stop(): what is there is what was acknowledged.
    void verify() {
        for (const auto& client : clients_) {
            client->verify();
            EXPECT_EQ(client->complaint(), "");
        }
    }
    std::uint64_t redirects() const {
        std::uint64_t sum = 0;
        for (const auto& client : clients_) sum += client->redirects();
        return sum;
    }

private:
    static constexpr std::size_t clients = 4;
    std::atomic<bool> stop_ = false;
    std::vector<std::unique_ptr<Client>> clients_;
    std::vector<std::jthread> threads_;
};

// --- who leads, and who does not -----------------------------------------------------------------

std::string binary_get(std::string_view key) {
    std::string out("\2\0\0\0\0\0\0", 7);
    out[4] = static_cast<char>(2 + key.size());
    out[6] = static_cast<char>(key.size());
    return out.append(key);
}

/// Asks every node about `key` in every protocol: one answers, the others name it.
void expect_one_leader(const Cluster& cluster, const std::string& key) {
    std::vector<std::size_t> leaders;
    for (std::size_t i = 0; i < cluster.size(); ++i) {
        if (Wire(cluster.port(i)).ask(fmt::format("SET {} 1\n", key)) == "OK\n") {
            leaders.push_back(i);
        }
    }
    ASSERT_EQ(leaders.size(), 1u) << key;
    const std::string address = fmt::format("127.0.0.1:{}", cluster.port(leaders.front()));
    for (std::size_t i = 0; i < cluster.size(); ++i) {
        if (i == leaders.front()) continue;
        Wire text(cluster.port(i));
        EXPECT_EQ(text.ask(fmt::format("GET {}\n", key)), fmt::format("REDIRECT {}\n", address));
        EXPECT_EQ(text.ask(fmt::format("DEL {}\n", key)), fmt::format("REDIRECT {}\n", address));
        Wire plain(cluster.port(i));  // asked in its place
        EXPECT_EQ(plain.ask(fmt::format("SET {} 1\r\n", key)), "+OK\r\n");
        EXPECT_EQ(plain.ask(fmt::format("GET {}\r\n", key), "\n1\r\n"), "$1\r\n1\r\n");
        EXPECT_EQ(plain.ask("READWRITE\r\n"), "+OK\r\n");
        const std::string moved = plain.ask(fmt::format("SET {} 2\r\n", key));
        EXPECT_TRUE(moved.starts_with("-MOVED ")) << moved;
        EXPECT_TRUE(moved.ends_with(fmt::format(" {}\r\n", address))) << moved;
        Wire binary(cluster.port(i));
        ASSERT_TRUE(binary.send(binary_get(key)));
        const std::string status = binary.receive(5);
        ASSERT_EQ(status.size(), 5u);
        EXPECT_EQ(status[0], '\x20');
        const std::string length{'\0', static_cast<char>(address.size())};
        EXPECT_EQ(binary.receive(static_cast<unsigned char>(status[4])), length + address);
    }
}

/// What spans shards of several leaders.
void expect_whole_answers(const Cluster& cluster, const std::vector<std::string>& keys) {
    std::string all = "KEYS";
    std::size_t led = 0;
    for (const std::string& key : keys) all += " " + key;
    for (std::size_t i = 0; i < cluster.size(); ++i) {
        // The text protocol knows no shards: any node answers for all.
        EXPECT_EQ(Wire(cluster.port(i)).ask("KEYS\n"), all + "\n");
        // So it does for clients that have not said that they know.
        Wire client(cluster.port(i));
        EXPECT_EQ(client.ask("DBSIZE\r\n"), fmt::format(":{}\r\n", keys.size()));
        const std::string both = fmt::format("MGET {} {}\r\n", keys[0], keys[1]);
        EXPECT_EQ(client.ask(both, "\n1\r\n$1\r\n1\r\n"), "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
        // Clients of a Redis cluster ask each node for its part.
        EXPECT_EQ(client.ask("READWRITE\r\n"), "+OK\r\n");
        const std::string part = client.ask("DBSIZE\r\n");
        if (part.starts_with(':')) led += std::stoul(part.substr(1));
        EXPECT_TRUE(part.starts_with(':') || part.starts_with("-MOVED ")) << part;
        EXPECT_TRUE(client.ask(both).starts_with("-CROSSSLOT "));
        const std::string tagged = client.ask("MGET {one}a {one}b\r\n");
        EXPECT_TRUE(tagged == "*2\r\n" || tagged.starts_with("-MOVED ")) << tagged;
    }
    EXPECT_EQ(led, keys.size());
}

TEST(ClusterProcess, OneNodeLeadsEachShardAndTheOthersSayWhichOrAskIt) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    std::vector<std::string> keys;
    for (int i = 0; i < 16; ++i) keys.push_back(fmt::format("key-{}", i));
    std::ranges::sort(keys);
    // Whom elections chose hands over once the others have been well for a while.
    ASSERT_TRUE(eventually([&] {
        return cluster.leader_of(0, 2) == 0 && cluster.leader_of(1, 2) == 0 &&
               cluster.leader_of(2, 2) == 1 && cluster.leader_of(3, 2) == 2;
    })) << cluster.logs();
    ASSERT_TRUE(cluster.wait_for_leaders());
    for (const std::string& key : keys) expect_one_leader(cluster, key);
    expect_whole_answers(cluster, keys);
    for (std::size_t i = 0; i < cluster.size(); ++i) cluster.stop(i);
}

// --- losses --------------------------------------------------------------------------------------

TEST(ClusterProcess, SigkillOfEachNodeUnderLoadLosesNothingAcknowledged) {
    const std::uint64_t some = sanitized() ? 50 : 300;
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    Load load(cluster);
    ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        SCOPED_TRACE(fmt::format("node {}", node + 1));
        cluster.kill(node);
        ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
        cluster.start(node);
        ASSERT_TRUE(cluster.at(node).ready());
        ASSERT_TRUE(cluster.wait_until_caught_up(node));
        ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
    }
    load.stop();
    ASSERT_TRUE(cluster.wait_for_leaders());
    load.verify();
    EXPECT_GT(load.redirects(), 0u);
    // Every copy is the same length and has as many keys.
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        ASSERT_TRUE(cluster.wait_until_caught_up(node));
        for (std::size_t shard = 0; shard < 4; ++shard) {
            EXPECT_EQ(cluster.shard_field(node, shard, "keys"),
                      cluster.shard_field(0, shard, "keys"));
        }
    }
    // Two at once are a majority: what was acknowledged waits for them.
    cluster.kill(0);
    cluster.kill(1);
    for (const std::size_t node : {0u, 1u}) {
        cluster.start(node);
        ASSERT_TRUE(cluster.at(node).ready());
        EXPECT_EQ(cluster.at(node).start_field("after"), "crash");
    }
    ASSERT_TRUE(cluster.wait_for_leaders());
    load.verify();
}

TEST(ClusterProcess, ANodeWhoseLogIsGoneElsewhereCatchesUpFromASnapshot) {
    Cluster cluster({.more = short_logs});
    ASSERT_TRUE(cluster.start_all());
    cluster.kill(2);
    LeaderClient client(cluster.client_ports());
    const std::string value(8 << 10, 'v');
    const int writes = 1'000;  // four times wal.bytes_max
    for (int i = 0; i < writes; ++i) {
        const std::string set = fmt::format("SET key-{} {}{}\n", i % 100, i, value);
        // On a slow disk snapshots cannot keep pace with so short a log: then writes are refused.
        ASSERT_TRUE(eventually([&] { return client.ask(set, true) == "OK\n"; })) << cluster.logs();
    }
    cluster.start(2, {"--log-level", "debug"});
    ASSERT_TRUE(cluster.at(2).ready());
    ASSERT_TRUE(cluster.wait_until_caught_up(2));
    EXPECT_TRUE(contains(cluster.at(2).process().log(), "a snapshot of the leader is installed"));
    // It is as good as any: with one of the others gone, it is needed for every answer.
    cluster.kill(0);
    for (int i = writes - 100; i < writes; ++i) {
        const std::string wanted = fmt::format("VALUE {}{}\n", i, value);
        ASSERT_EQ(client.ask(fmt::format("GET key-{}\n", i % 100), true), wanted);
    }
    // --verify knows logs that begin again behind a snapshot, and misses one that is not there.
    cluster.kill(2);
    const Outcome right = run_server({"--verify", cluster.directory(2)});
    EXPECT_EQ(right.exit_code, 0) << right.out << right.err;
    std::filesystem::remove_all(cluster.directory(2) + "/snapshots");
    std::filesystem::create_directory(cluster.directory(2) + "/snapshots");
    EXPECT_EQ(run_server({"--verify", cluster.directory(2)}).exit_code, 3);
}

TEST(ClusterProcess, ANodeThatStopsHandsItsShardsOver) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    Load load(cluster);
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        ASSERT_TRUE(load.goes_on(50)) << cluster.logs();
        cluster.stop(node);
        ASSERT_TRUE(load.goes_on(50)) << cluster.logs();
        cluster.start(node);
        ASSERT_TRUE(cluster.at(node).ready());
        EXPECT_EQ(cluster.at(node).start_field("after"), "clean_stop");
    }
    load.stop();
    load.verify();
}

/// A process that was stopped believes that it leads still, and has requests before it.
TEST(ClusterProcess, APausedLeaderServesNothingStaleWhenItGoesOn) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    const int keys = 8;  // of several shards
    LeaderClient client(cluster.client_ports());
    for (int i = 0; i < keys; ++i) {
        ASSERT_EQ(client.ask(fmt::format("SET key-{} old\n", i), true), "OK\n");
    }
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        SCOPED_TRACE(fmt::format("node {}", node + 1));
        Wire reader(cluster.port(node));
        Wire writer(cluster.port(node));
        ASSERT_EQ(reader.ask("PING\n"), "PONG\n");  // accepted
        ASSERT_EQ(writer.ask("PING\n"), "PONG\n");
        cluster.at(node).process().pause();
        for (int i = 0; i < keys; ++i) {
            ASSERT_TRUE(reader.send(fmt::format("GET key-{}\n", i)));
            ASSERT_TRUE(writer.send(fmt::format("SET late-{}-{} late\n", node, i)));
        }
        std::vector<std::uint16_t> others = cluster.client_ports();
        others.erase(others.begin() + static_cast<std::ptrdiff_t>(node));
        LeaderClient around(others);
        for (int i = 0; i < keys; ++i) {
            const std::string set = fmt::format("SET key-{} new-{}\n", i, node);
            ASSERT_EQ(around.ask(set, true), "OK\n");
        }
        cluster.at(node).process().send_signal(SIGCONT);
        std::vector<int> promised;
        for (int i = 0; i < keys; ++i) {
            const std::string read = reader.receive_until("\n");
            EXPECT_TRUE(read == fmt::format("VALUE new-{}\n", node) ||
                        read.starts_with("REDIRECT ") || read.starts_with("ERROR "))
                << read;
            if (writer.receive_until("\n") == "OK\n") promised.push_back(i);
        }
        ASSERT_TRUE(cluster.wait_for_leaders());
        for (const int i : promised) {
            const std::string get = fmt::format("GET late-{}-{}\n", node, i);
            EXPECT_EQ(client.ask(get, true), "VALUE late\n");
        }
    }
    // Each of them led something when its turn came, but for those from whom the others had it all.
    bool told = false;
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        const std::string log = cluster.at(node).process().log();
        told = told || (log.contains("this core did not run for a while") &&
                        log.contains("leads a shard no longer"));
    }
    EXPECT_TRUE(told);
}

TEST(ClusterProcess, FiveNodesServeWithoutTwo) {
    Cluster cluster({.nodes = 5});
    ASSERT_TRUE(cluster.start_all());
    Load load(cluster);
    ASSERT_TRUE(load.goes_on(20)) << cluster.logs();
    cluster.kill(1);
    cluster.kill(3);
    ASSERT_TRUE(load.goes_on(20)) << cluster.logs();
    load.stop();
    load.verify();
}

TEST(ClusterProcess, ANodeWithAnEmptyDirectoryStaysOutAndTheOthersServe) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    Load load(cluster);
    ASSERT_TRUE(load.goes_on(20)) << cluster.logs();
    cluster.kill(1);
    std::filesystem::remove_all(cluster.directory(1));
    cluster.start(1);
    const std::string said = cluster.at(1).process().wait_for_log("This node stays out");
    EXPECT_TRUE(contains(said, "level=error")) << said;
    EXPECT_TRUE(contains(said, "the majority of the others goes on serving")) << said;
    EXPECT_TRUE(contains(said, "once there are membership changes")) << said;
    EXPECT_NE(cluster.at(0).process().wait_for_log("another data directory"), "");
    ASSERT_TRUE(load.goes_on(50)) << cluster.logs();
    EXPECT_FALSE(Wire(cluster.port(1)).connected()) << "it serves clients";
    cluster.stop(1);
    load.stop();
    load.verify();
}

// --- forming -------------------------------------------------------------------------------------

TEST(ClusterProcess, NodesThatAreGivenWithPeersSayWhomTheyMissAndFormOnceItIsThere) {
    Cluster cluster({.by_flags = true});
    cluster.start(2);
    cluster.start(1);
    for (const int look : {1, 2}) {  // it is said again, for who looks later
        SCOPED_TRACE(look);
        const std::string missing =
            fmt::format("waiting for node 1 (127.0.0.1:{})", cluster.peer_port(0));
        EXPECT_TRUE(eventually([&] {
            const std::string log = cluster.at(2).process().log();
            const std::size_t first = log.find(missing);
            return first != log.npos && (look == 1 || log.find(missing, first + 1) != log.npos);
        })) << cluster.logs();
    }
    cluster.start(0);
    for (std::size_t i = 0; i < cluster.size(); ++i) ASSERT_TRUE(cluster.at(i).ready());
    ASSERT_TRUE(cluster.wait_for_leaders());
    LeaderClient client(cluster.client_ports());
    EXPECT_EQ(client.ask("SET key value\n", true), "OK\n");
}

TEST(ClusterProcess, AListThatDiffersIsRefusedAndOnceCorrectedTheClusterForms) {
    Cluster cluster({.by_flags = true});
    cluster.start(0);
    cluster.start(1);
    {
        const std::string others =
            fmt::format("1:127.0.0.1:{}:{},2:127.0.0.1:{}:1", cluster.peer_port(0), cluster.port(0),
                        cluster.peer_port(1));
        Server mistaken(
            cluster.directory(2),
            {"--id", "3", "--raft-port", std::to_string(cluster.peer_port(2)), "--client-port",
             std::to_string(cluster.port(2)), "--peers", others, "--set", "cluster.shards=4"});
        for (Server* const node : {&mistaken, &cluster.at(0), &cluster.at(1)}) {
            const std::string said = node->process().wait_for_log("another [[cluster.nodes]]");
            EXPECT_TRUE(contains(said, "make them equal on all nodes")) << said;
            EXPECT_TRUE(contains(said, "level=error")) << said;
        }
        EXPECT_EQ(mistaken.stop(), 0);
    }
    cluster.start(2);
    for (std::size_t i = 0; i < cluster.size(); ++i) ASSERT_TRUE(cluster.at(i).ready());
    ASSERT_TRUE(cluster.wait_for_leaders());
}

TEST(ClusterProcess, AListThatChangesLaterIsSaidAndWhatWasFormedHolds) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    cluster.kill(1);
    // --peers has another idea of where leaders are to be, too.
    const std::string others =
        fmt::format("1:127.0.0.1:{}:1,3:127.0.0.1:{}:{}", cluster.peer_port(0),
                    cluster.peer_port(2), cluster.port(2));
    Server changed(
        cluster.directory(1),
        {"--id", "2", "--raft-port", std::to_string(cluster.peer_port(1)), "--client-port",
         std::to_string(cluster.port(1)), "--peers", others, "--set", "cluster.shards=4"});
    EXPECT_NE(changed.process().wait_for_log("is not what this cluster was formed with"), "");
    EXPECT_NE(changed.process().wait_for_log("another cluster.leaders"), "");
    ASSERT_TRUE(changed.ready());
    LeaderClient client({cluster.port(1), cluster.port(0), cluster.port(2)});
    for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(client.ask(fmt::format("SET key-{} value\n", i), true), "OK\n");
    }
    EXPECT_EQ(changed.stop(), 0);
}

/// What is no node at all, on the port for nodes.
TEST(ClusterProcess, ARedisClientOnThePortForNodesIsClosedAndChangesNothing) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    Wire wire(cluster.peer_port(0));
    ASSERT_TRUE(wire.send("*1\r\n$4\r\nPING\r\n" + std::string(4096, 'x')));
    wire.end_sending();
    EXPECT_EQ(wire.receive_all(), "");
    EXPECT_NE(cluster.at(0).process().wait_for_log("a connection to the port for nodes was closed"),
              "");
    LeaderClient client(cluster.client_ports());
    EXPECT_EQ(client.ask("SET key value\n", true), "OK\n");
}

TEST(ClusterProcess, APortThatIsTakenEndsTheStartWithASentence) {
    Cluster cluster({});
    cluster.start(0);
    ASSERT_NE(cluster.at(0).process().wait_for_log("waiting for nodes 2"), "");
    const Outcome got = run_server(
        {"--data-dir", cluster.directory(1), "--id", "2", "--raft-port",
         std::to_string(cluster.peer_port(0)), "--client-port", std::to_string(cluster.port(1)),
         "--peers", fmt::format("1:127.0.0.1:{}:{}", cluster.peer_port(2), cluster.port(2))});
    EXPECT_EQ(got.exit_code, 1);
    EXPECT_TRUE(contains(got.err, "(peer.bind, peer.port)")) << got.err;
}

}  // namespace
}  // namespace kv::test
