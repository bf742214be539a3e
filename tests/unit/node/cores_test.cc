/// A node over several cores: requests for shards of other cores, clients on all of them, and what
/// goes wrong on one.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "proto/base/prng.h"
#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

using Words = std::vector<std::string_view>;

/// Rings that are nearly always full.
io::SimKnobs tiny_rings() {
    io::SimKnobs knobs;
    knobs.core.mailbox_slots_min = knobs.core.mailbox_slots_max = 1;
    return knobs;
}

std::uint16_t core_of(SimServer& server, std::string_view key) {
    return server.node()
        .replicas()
        .placement()
        .core_of(server.node().replicas().placement().shard_of(key))
        .value();
}

/// The `n`-th key of a shard on `core`.
std::string key_on(SimServer& server, std::size_t core, std::size_t n = 0) {
    for (int i = 0;; ++i) {
        std::string key = fmt::format("key{}", i);
        if (core_of(server, key) == core && n-- == 0) return key;
    }
}

/// Of clients: requests and what must come back.
struct Dialog {
    std::string input;
    std::string expected;

    void add(const Words& words, std::string_view reply) {
        input += resp_array(words);
        expected += reply;
    }
};

void talk(SimClient& client, const Dialog& dialog, Duration limit = 600s) {
    client.send(dialog.input);
    ASSERT_TRUE(client.wait_for(dialog.expected.size(), limit))
        << client.received().size() << " of " << dialog.expected.size();
    ASSERT_EQ(client.take(), dialog.expected);
}

void stall_log(SimServer& server, std::size_t core, Duration time, std::int32_t error = 0) {
    io::SimFault fault;
    fault.code = io::OpCode::write;
    fault.path_part = fmt::format("-c{:02}-000001.wal", core);  // not a spare
    fault.stall = time;
    fault.error = error;
    server.disk().add_fault(fault);
}

std::uint64_t full_rings(SimServer& server) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < server.cores; ++i) {
        sum += server.process().reactor(i).mailboxes().counters().full_rings;
    }
    return sum;
}

std::size_t connections(SimServer& server) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < server.cores; ++i) sum += server.server(i).connections();
    return sum;
}

// --- requests for one key ------------------------------------------------------------------------

TEST(NodeCores, AReplyWaitsForThoseBeforeItWhicheverCoreIsSlow) {
    for (std::size_t slow = 0; slow < 3; ++slow) {
        SimServer server(1 + slow, small_config(), {}, 3);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        server.world.run_for(2s);
        stall_log(server, slow, 1s);
        Dialog dialog;
        dialog.add({"SET", key_on(server, slow), "slow"}, "+OK\r\n");
        for (std::size_t core = 0; core < 3; ++core) {
            const std::string key = key_on(server, core, 1);
            dialog.add({"SET", key, "v"}, "+OK\r\n");
            dialog.add({"GET", key}, "$1\r\nv\r\n");  // behind the own write
            dialog.add({"GET", key_on(server, core, 2)}, "$-1\r\n");
        }
        dialog.add({"GET", key_on(server, slow)}, "$4\r\nslow\r\n");
        client->send(dialog.input);
        server.world.run_for(900ms);
        EXPECT_EQ(client->take(), "");
        ASSERT_TRUE(client->wait_for(dialog.expected.size(), 1s));
        EXPECT_EQ(client->take(), dialog.expected);
    }
}

TEST(NodeCores, AReadWaitsForNoWritesButItsOwn) {
    SimServer server(7, small_config(), {}, 2);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();  // on the first core
    const std::string key = key_on(server, 1);
    Dialog both;  // the last to be answered is a read
    both.add({"SET", key, "v"}, "+OK\r\n");
    both.add({"GET", key}, "$1\r\nv\r\n");
    talk(*client, both);
    server.world.run_for(2s);
    const auto other = server.connect();
    stall_log(server, 1, 10s);
    other->send(resp_array({"SET", key, "w"}));
    server.world.run_for(100ms);
    client->send(resp_array({"GET", key}));
    ASSERT_TRUE(client->wait_for(7, 100ms));
    EXPECT_EQ(client->take(), "$1\r\nv\r\n");
}

TEST(NodeCores, ValuesAndErrorsOfOtherCoresComeHomeWhole) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        SimServer server(seed, small_config(), seed % 2 == 0 ? tiny_rings() : io::SimKnobs{}, 4);
        ASSERT_TRUE(server.start().has_value());
        const std::string large(8000, 'x');
        Dialog dialog;
        for (std::size_t core = 0; core < 4; ++core) {
            const std::string key = key_on(server, core);
            const std::string number = key_on(server, core, 1);
            dialog.add({"SET", key, "a", "GET"}, "$-1\r\n");
            dialog.add({"SET", key, "b", "GET"}, "$1\r\na\r\n");
            dialog.add({"GETSET", key, large}, "$1\r\nb\r\n");
            dialog.add({"STRLEN", key}, ":8000\r\n");
            dialog.add({"INCR", key}, "-ERR value is not an integer or out of range\r\n");
            dialog.add({"GETDEL", key}, resp_bulk(large));
            dialog.add({"SET", key, "c", "XX"}, "$-1\r\n");
            dialog.add({"SET", key, "c", "NX"}, "+OK\r\n");
            dialog.add({"APPEND", key, "de"}, ":3\r\n");
            dialog.add({"INCR", number}, ":1\r\n");
            dialog.add({"INCRBY", number, "41"}, ":42\r\n");
            dialog.add({"DECR", number}, ":41\r\n");
            dialog.add({"DEL", number}, ":1\r\n");
            dialog.add({"DEL", number}, ":0\r\n");
            dialog.add({"GET", key}, "$3\r\ncde\r\n");
        }
        const auto client = server.connect();
        talk(*client, dialog);
        server.stop();
    }
}

TEST(NodeCores, AKeyThatTheLogOfAnotherCoreCannotHoldIsRefused) {
    Config config = small_config();
    config.wal.segment_bytes = 16_KiB;
    config.wal.batch_bytes_max = 4_KiB;
    config.limits.value_bytes_max = 4_KiB;
    SimServer server(9, config, {}, 2);
    ASSERT_TRUE(server.start().has_value());
    for (std::size_t core = 0; core < 2; ++core) {
        std::string key(65'535, 'k');
        while (core_of(server, key) != core) ++key[0];
        Dialog dialog;
        dialog.add({"SET", key, "v"}, "-ERR request or reply is beyond its limit\r\n");
        dialog.add({"SET", key_on(server, core), "v"}, "+OK\r\n");
        dialog.add({"GET", key}, "$-1\r\n");
        const auto client = server.connect();
        talk(*client, dialog);
    }
}

TEST(NodeCores, AFullDiskRefusesWritesOfOtherCoresToo) {
    for (std::size_t core = 0; core < 2; ++core) {
        SimServer server(3, small_config(), {}, 2);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        server.world.run_for(1s);
        server.disk().set_capacity(server.disk().used_bytes() + 5000);
        const std::string value(4000, 'v');
        const std::string key = key_on(server, core);
        std::string reply = "+OK\r\n";
        for (int i = 0; i < 1000 && reply == "+OK\r\n"; ++i) {
            client->send(resp_array({"SET", key, value}));
            ASSERT_TRUE(client->wait_for(5));
            server.world.run_for(5ms);
            reply = client->take();
        }
        EXPECT_EQ(reply, "-MISCONF disk full: writes are refused until there is room again\r\n");
        EXPECT_EQ(client->exchange(resp_array({"GET", key}), 4008), resp_bulk(value));
        server.disk().set_capacity(std::uint64_t{1} << 40);
        server.world.run_for(3s);
        EXPECT_EQ(client->exchange(resp_array({"SET", key, value}), 5), "+OK\r\n");
        server.stop();
    }
}

// --- requests over many keys ---------------------------------------------------------------------

TEST(NodeCores, LongRequestsOverManyKeysAreAnsweredWholeAndInOrder) {
    for (std::uint64_t seed = 1; seed <= scaled(12); ++seed) {
        SCOPED_TRACE(seed);
        const auto cores = static_cast<std::uint16_t>(1 + seed % 4);
        Config config = small_config();
        config.limits.request_bytes_max = 1_MiB;
        SimServer server(seed, config, seed % 3 == 0 ? tiny_rings() : io::SimKnobs{}, cores);
        ASSERT_TRUE(server.start().has_value());
        std::vector<std::string> keys;
        for (int i = 0; i < 5000; ++i) keys.push_back(fmt::format("k{}", i));
        Words set = {"MSET"};
        Words get = {"MGET"};
        Words exist = {"EXISTS"};
        Words unlink = {"UNLINK", "none"};
        std::string values = "*5000\r\n";
        std::string rest = "*5000\r\n";
        for (std::size_t i = 0; i < keys.size(); ++i) {
            set.insert(set.end(), {keys[i], keys[i]});
            get.push_back(keys[i]);
            exist.push_back(keys[i]);
            if (i % 2 == 0) unlink.push_back(keys[i]);
            values += resp_bulk(keys[i]);
            rest += i % 2 == 0 ? "$-1\r\n" : resp_bulk(keys[i]);
        }
        Dialog dialog;
        dialog.add({"SET", "k7", "old"}, "+OK\r\n");
        dialog.add(set, "+OK\r\n");
        dialog.add({"GET", "k7"}, "$2\r\nk7\r\n");
        dialog.add(get, values);
        dialog.add(exist, ":5000\r\n");
        dialog.add(unlink, ":2500\r\n");
        dialog.add({"SET", "last", "1"}, "+OK\r\n");
        dialog.add(get, rest);
        exist.front() = "TOUCH";
        dialog.add(exist, ":2500\r\n");
        dialog.add({"DBSIZE"}, ":2501\r\n");
        dialog.add({"PING"}, "+PONG\r\n");
        const auto client = server.connect();
        talk(*client, dialog);
        server.stop();
    }
}

TEST(NodeCores, ALongReplyOfManyCoresIsRefusedAndTheConnectionGoesOn) {
    Config config = small_config();
    config.limits.reply_bytes_max = 100'000;
    for (const std::uint16_t cores : {std::uint16_t{1}, std::uint16_t{3}}) {
        SimServer server(4, config, {}, cores);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        const std::string value(8000, 'v');
        Dialog dialog;
        Words get = {"MGET"};
        std::vector<std::string> keys;
        for (int i = 0; i < 12; ++i) keys.push_back(fmt::format("k{}", i));
        std::string values = "*12\r\n";
        for (const std::string& key : keys) {
            dialog.add({"SET", key, value}, "+OK\r\n");
            get.push_back(key);
            values += resp_bulk(value);
        }
        dialog.add(get, values);
        talk(*client, dialog);
        for (int i = 0; i < 1000; ++i) get.push_back(keys[static_cast<std::size_t>(i) % 12]);
        client->send(resp_array(get) + resp_array({"PING"}));
        ASSERT_TRUE(client->wait_for(1));
        server.world.run_for(1s);
        const std::string reply = client->take();
        EXPECT_TRUE(reply.starts_with("-ERR MGET would answer more than limits.reply_bytes_max"))
            << reply.substr(0, 200);
        EXPECT_TRUE(reply.ends_with("+PONG\r\n")) << reply.substr(0, 200);
    }
}

TEST(NodeCores, AClientThatLeavesInTheMiddleOfALongRequestLeavesNothing) {
    for (std::uint64_t seed = 1; seed <= scaled(60); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        SimServer server(seed, small_config(), seed % 2 == 0 ? tiny_rings() : io::SimKnobs{},
                         static_cast<std::uint16_t>(1 + seed % 4));
        ASSERT_TRUE(server.start().has_value());
        std::vector<std::string> keys;
        for (int i = 0; i < 3000; ++i) keys.push_back(fmt::format("k{}", i));
        Words words = {seed % 3 == 0 ? "MGET" : seed % 3 == 1 ? "MSET" : "DEL"};
        for (const std::string& key : keys) words.push_back(key);
        {
            const auto client = server.connect();
            client->send(resp_array({"SET", "a", "1"}) + resp_array(words) +
                         resp_array({"KEYS", "*"}) + resp_array({"SET", "b", "1"}));
            server.world.run_for(Duration(prng.below(6'000'000)));
            if (prng.below(2) == 0) {
                server.world.network().reset_connections(SimServer::client_node,
                                                         SimServer::server_node);
            }
        }
        server.world.run_for(5s);
        EXPECT_EQ(connections(server), 0u);
        server.expect("PING\n", "PONG\n");
        server.stop();
    }
}

TEST(NodeCores, ALongWriteThatTimesOutIsUnknownAndTheConnectionGoesOn) {
    for (std::uint16_t cores = 1; cores <= 3; ++cores) {
        SCOPED_TRACE(cores);
        Config config = small_config();
        config.commit_timeout = 1s;
        SimServer server(5, config, {}, cores);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        server.world.run_for(2s);
        const std::size_t slow = cores - 1u;
        stall_log(server, slow, 4s);
        std::vector<std::string> keys;
        for (int i = 0; i < 2000; ++i) keys.push_back(fmt::format("k{}", i));
        Words set = {"MSET"};
        for (const std::string& key : keys) set.insert(set.end(), {key, "v"});
        const std::string timeout = "-TIMEOUT commit timed out, outcome unknown\r\n";
        client->send(resp_array(set) + resp_array({"PING"}));
        ASSERT_TRUE(client->wait_for(timeout.size() + 7, 3s));
        EXPECT_EQ(client->take(), timeout + "+PONG\r\n");
        server.world.run_for(10s);
        // A second one is not confused by what the first one still hears.
        Dialog dialog;
        dialog.add(set, "+OK\r\n");
        dialog.add({"EXISTS", keys.front(), keys.back()}, ":2\r\n");
        talk(*client, dialog);
        server.stop();
    }
}

TEST(NodeCores, ALateAnswerToALongWriteDoesNotCountForTheNextOne) {
    Config config = small_config();
    config.commit_timeout = 1s;
    SimServer server(6, config, {}, 2);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    server.world.run_for(2s);
    stall_log(server, 1, 1500ms);
    std::vector<std::string> keys;
    for (int i = 0; i < 2000; ++i) keys.push_back(fmt::format("k{}", i));
    Words set = {"MSET"};
    Words del = {"DEL"};
    for (const std::string& key : keys) {
        set.insert(set.end(), {key, "v"});
        del.push_back(key);
    }
    const std::string timeout = "-TIMEOUT commit timed out, outcome unknown\r\n";
    client->send(resp_array(set));
    ASSERT_TRUE(client->wait_for(timeout.size(), 3s));
    EXPECT_EQ(client->take(), timeout);
    // Behind what was begun of the first one, on every shard; DEL counts what it finds.
    client->send(resp_array(del) + resp_array({"DBSIZE"}));
    ASSERT_TRUE(client->wait_for(1, 30s));
    server.world.run_for(1s);
    EXPECT_EQ(client->take(), ":2000\r\n:0\r\n");
}

// --- what is under way ---------------------------------------------------------------------------

TEST(NodeCores, RepliesOfOtherCoresCountAgainstThePipeline) {
    for (unsigned variant = 0; variant < 4; ++variant) {
        const std::size_t core = variant / 2;
        const bool asked_before = variant % 2 == 0;  // else it is not known what to expect
        Config config = small_config();
        config.client.pipeline_bytes_max = 64_KiB;
        SimServer server(4, config, {}, 2);
        ASSERT_TRUE(server.start().has_value());
        const std::string value(8000, 'v');
        const std::string key = key_on(server, core);
        server.expect(resp_array({"SET", key, value}), "+OK\r\n");
        server.world.run_for(1s);
        const auto client = server.connect();
        if (asked_before) {
            EXPECT_EQ(client->exchange(resp_array({"GET", key}), 8008), resp_bulk(value));
        }
        const auto served = [&] {
            return server.server(0).counters.requests + server.server(1).counters.requests;
        };
        stall_log(server, 1 - core, 1s);
        const std::uint64_t before = served();
        std::string input = resp_array({"SET", key_on(server, 1 - core), "slow"});
        std::string expected = "+OK\r\n";
        for (int i = 0; i < 1000; ++i) {
            input += resp_array({"GET", key});
            expected += resp_bulk(value);
        }
        client->send(input);
        server.world.run_for(500ms);
        EXPECT_LT(served() - before, 64_KiB / value.size() + 40);
        ASSERT_TRUE(client->wait_for(expected.size(), 600s));
        EXPECT_EQ(client->take(), expected);
    }
}

TEST(NodeCores, ABurstOfFirstReadsAsksForNoMoreThanThePipelineMayHold) {
    Config config = small_config();
    config.client.pipeline_bytes_max = 64_KiB;
    SimServer server(4, config, {}, 2);
    ASSERT_TRUE(server.start().has_value());
    const std::string value(8000, 'v');
    const std::string key = key_on(server, 1);
    server.expect(resp_array({"SET", key, value}), "+OK\r\n");
    server.world.run_for(1s);
    const auto client = server.connect();  // on the first core
    stall_log(server, 0, 1s);
    std::string input = resp_array({"SET", key_on(server, 0), "slow"});
    std::string expected = "+OK\r\n";
    for (int i = 0; i < 100; ++i) {
        input += resp_array({"GET", key});
        expected += resp_bulk(value);
    }
    const std::uint64_t before = server.server(1).router.answer_bytes();
    client->send(input);
    server.world.run_for(500ms);
    EXPECT_LT(server.server(1).router.answer_bytes() - before, 64_KiB + 2 * value.size());
    ASSERT_TRUE(client->wait_for(expected.size(), 600s));
    EXPECT_EQ(client->take(), expected);
}

TEST(NodeCores, ABurstLeavesLittleMemoryBehind) {
    SimServer server(8, small_config(), {}, 2);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();  // on the first core
    const std::string value(8000, 'v');
    const std::string key = key_on(server, 1);
    Dialog dialog;
    for (int i = 0; i < 400; ++i) dialog.add({"SET", key, value}, "+OK\r\n");
    talk(*client, dialog);
    Dialog reads;
    for (int i = 0; i < 400; ++i) reads.add({"GET", key}, resp_bulk(value));
    talk(*client, reads);
    server.world.run_for(1s);
    for (std::size_t core = 0; core < 2; ++core) {
        EXPECT_GT(server.server(core).router.buffer_bytes(), 0u);
        EXPECT_LE(server.server(core).router.buffer_bytes(), Router::free_bytes_max);
    }
}

TEST(NodeCores, ALongMgetAsksForNoMoreThanItsReplyMayHold) {
    Config config = small_config();
    config.limits.reply_bytes_max = 100'000;
    SimServer server(5, config, {}, 2);
    ASSERT_TRUE(server.start().has_value());
    const std::string key = key_on(server, 1);
    server.expect(resp_array({"SET", key, std::string(8000, 'v')}), "+OK\r\n");
    server.world.run_for(1s);
    const auto client = server.connect();  // on the first core
    Words get = {"MGET"};
    for (int i = 0; i < 4000; ++i) get.push_back(key);
    const std::uint64_t before = server.server(1).router.answer_bytes();
    client->send(resp_array(get) + resp_array({"PING"}));
    ASSERT_TRUE(client->wait_for(60));
    server.world.run_for(1s);
    EXPECT_TRUE(client->take().ends_with("+PONG\r\n"));
    EXPECT_LT(server.server(1).router.answer_bytes() - before, 1'000'000u);
    EXPECT_GT(server.server(1).router.answer_bytes() - before, 100'000u);
}

TEST(NodeCores, WhetherAKeyIsThereIsAskedWithoutItsValue) {
    SimServer server(6, small_config(), {}, 2);
    ASSERT_TRUE(server.start().has_value());
    const std::string key = key_on(server, 1);
    server.expect(resp_array({"SET", key, std::string(8000, 'v')}), "+OK\r\n");
    server.world.run_for(1s);
    const auto client = server.connect();  // on the first core
    const std::uint64_t before = server.server(1).router.answer_bytes();
    Words exists = {"EXISTS"};
    for (int i = 0; i < 1000; ++i) exists.push_back(key);
    Dialog dialog;
    dialog.add(exists, ":1000\r\n");
    dialog.add({"EXISTS", key}, ":1\r\n");
    dialog.add({"TTL", key}, ":-1\r\n");
    dialog.add({"TYPE", key}, "+string\r\n");
    talk(*client, dialog);
    EXPECT_GT(server.server(1).router.answer_bytes() - before, 1000u);
    EXPECT_LT(server.server(1).router.answer_bytes() - before, 100'000u);
}

TEST(NodeCores, AStopEndsAlthoughAFullDiskHoldsWritesBack) {
    for (std::uint64_t seed = 1; seed <= scaled(10); ++seed) {
        SCOPED_TRACE(seed);
        SimServer server(seed, small_config(), seed % 2 == 0 ? tiny_rings() : io::SimKnobs{}, 3);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        server.world.run_for(1s);
        server.disk().set_capacity(server.disk().used_bytes() + 5000);
        const std::string value(3000, 'v');
        std::string input;
        for (int i = 0; i < 500; ++i) input += resp_array({"SET", std::to_string(i), value});
        client->send(input);
        server.world.run_for(3s);
        server.stop(60s);
        server.disk().set_capacity(std::uint64_t{1} << 40);
        ASSERT_TRUE(server.start().has_value());
    }
}

// --- requests over all shards --------------------------------------------------------------------

TEST(NodeCores, KeysScanDbsizeAndRandomkeySeeAllCores) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        Config config = small_config();
        config.cluster.shards = static_cast<std::uint16_t>(1 + seed % 9);
        SimServer server(seed, config, seed % 2 == 0 ? tiny_rings() : io::SimKnobs{},
                         static_cast<std::uint16_t>(1 + seed % 4));
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        Dialog dialog;
        dialog.add({"RANDOMKEY"}, "$-1\r\n");
        dialog.add({"SET", "only", "1"}, "+OK\r\n");
        dialog.add({"RANDOMKEY"}, "$4\r\nonly\r\n");
        dialog.add({"KEYS", "*"}, "*1\r\n$4\r\nonly\r\n");
        std::set<std::string> keys = {"only"};
        for (int i = 0; i < 500; ++i) {
            const std::string key = fmt::format("k{}", i);
            keys.insert(key);
            dialog.add({"SET", key, "v"}, "+OK\r\n");
        }
        dialog.add({"DBSIZE"}, ":501\r\n");
        talk(*client, dialog);

        const auto words_of = [](std::string_view text) {
            std::vector<std::string> words;
            for (std::size_t at = 0; at < text.size();) {
                const std::size_t end = text.find("\r\n", at);
                if (text[at] != '*' && text[at] != '$')
                    words.emplace_back(text.substr(at, end - at));
                at = end + 2;
            }
            return words;
        };
        client->send(resp_array({"KEYS", "*"}) + resp_array({"PING"}));
        server.world.run_for(2s);
        std::vector<std::string> all = words_of(client->take());
        ASSERT_EQ(all.size(), 502u);
        EXPECT_EQ(all.back(), "+PONG");
        all.pop_back();
        EXPECT_EQ(std::set<std::string>(all.begin(), all.end()), keys);

        std::set<std::string> scanned;
        std::string cursor = "0";
        do {
            client->send(resp_array({"SCAN", cursor, "COUNT", "20"}));
            server.world.run_for(200ms);
            const std::vector<std::string> page = words_of(client->take());
            ASSERT_FALSE(page.empty());
            cursor = page.front();
            for (std::size_t i = 1; i < page.size(); ++i) {
                EXPECT_TRUE(scanned.insert(page[i]).second) << page[i] << " twice";
            }
        } while (cursor != "0");
        EXPECT_EQ(scanned, keys);
        Dialog end;
        end.add({"FLUSHALL"}, "+OK\r\n");
        end.add({"DBSIZE"}, ":0\r\n");
        end.add({"KEYS", "*"}, "*0\r\n");
        talk(*client, end);
        server.stop();
    }
}

// --- clients -------------------------------------------------------------------------------------

TEST(Acceptor, GivesEachClientToTheCoreWithTheFewest) {
    SimServer server(7, small_config(), {}, 3);
    ASSERT_TRUE(server.start().has_value());
    std::vector<std::unique_ptr<SimClient>> clients;
    for (int i = 0; i < 9; ++i) {
        clients.push_back(server.connect());
        EXPECT_EQ(clients.back()->exchange("PING\n", 5), "PONG\n");
    }
    for (std::size_t core = 0; core < 3; ++core) EXPECT_EQ(server.server(core).connections(), 3u);
    // Those of one core leave: the next ones take their places.
    for (const std::size_t i : {1u, 4u, 7u}) clients[i].reset();
    server.world.run_for(1s);
    std::size_t empty = 3;
    for (std::size_t core = 0; core < 3; ++core) {
        if (server.server(core).connections() == 0) empty = core;
    }
    ASSERT_LT(empty, 3u);
    for (const std::size_t i : {1u, 4u, 7u}) {
        clients[i] = server.connect();
        EXPECT_EQ(clients[i]->exchange("PING\n", 5), "PONG\n");
    }
    EXPECT_EQ(server.server(empty).connections(), 3u);
}

TEST(Acceptor, CountsTheClientsOfAllCoresAgainstTheLimit) {
    Config config = small_config();
    config.client.connections_max = 5;
    SimServer server(8, config, {}, 3);
    ASSERT_TRUE(server.start().has_value());
    for (int round = 0; round < 5; ++round) {
        std::vector<std::unique_ptr<SimClient>> clients;
        for (int i = 0; i < 5; ++i) {
            clients.push_back(server.connect());
            EXPECT_EQ(clients.back()->exchange("PING\n", 5), "PONG\n");
        }
        const auto refused = server.connect();
        ASSERT_TRUE(refused->wait_end());
        EXPECT_EQ(refused->take(), "-ERR max number of clients reached\r\n");
        clients.clear();
        server.world.run_for(1s);
        EXPECT_EQ(connections(server), 0u);
    }
    server.stop();
}

TEST(Acceptor, AStopWhileClientsAreHandedOverLosesNone) {
    for (std::uint64_t seed = 1; seed <= scaled(100); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        io::SimKnobs knobs = tiny_rings();
        knobs.core.doorbell = {1us, 5ms};
        SimServer server(seed, small_config(), knobs, 3);
        ASSERT_TRUE(server.start().has_value());
        const io::Endpoint endpoint = server.node().endpoint();
        std::vector<std::unique_ptr<SimClient>> clients;
        for (int i = 0; i < 12; ++i) {
            clients.push_back(
                std::make_unique<SimClient>(server.world, server.clients(), endpoint));
            clients.back()->send("PING\n");
        }
        server.world.run_for(Duration(prng.below(300'000)));
        server.stop();
        for (const auto& client : clients) {
            EXPECT_TRUE(!client->connected() || client->wait_end());
        }
    }
}

// --- failures ------------------------------------------------------------------------------------

TEST(NodeCores, TheLogOfAnyCoreEndsTheNodeWhenItFails) {
    for (std::size_t core = 0; core < 3; ++core) {
        SimServer server(9 + core, small_config(), {}, 3);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        const std::string key = key_on(server, core);
        EXPECT_EQ(client->exchange(resp_array({"SET", key, "1"}), 5), "+OK\r\n");
        server.world.run_for(2s);
        stall_log(server, core, 0s, -EIO);
        client->send(resp_array({"SET", key, "2"}));
        server.world.run_for(1s);
        ASSERT_TRUE(server.node().failure().has_value());
        EXPECT_EQ(server.node().failure()->code, Errc::io);
        EXPECT_NE(server.node().failure()->text().find(fmt::format("-c{:02}-", core)),
                  std::string::npos)
            << server.node().failure()->text();
        EXPECT_TRUE(server.process().reactor().stopping());
        EXPECT_EQ(client->take(), "");
        server.crash(io::Crash::power_subset_torn);
        server.disk().clear_faults();
        ASSERT_TRUE(server.start().has_value());
    }
}

TEST(NodeCores, AStartThatFailsOnOneCoreCanBeStopped) {
    for (std::size_t core = 0; core < 3; ++core) {
        SCOPED_TRACE(core);
        SimServer server(12, small_config(), {}, 3);
        ASSERT_TRUE(server.start().has_value());
        server.expect(resp_array({"SET", key_on(server, core), "v"}), "+OK\r\n");
        server.stop();
        io::SimFault fault;
        fault.code = io::OpCode::read;
        fault.path_part = fmt::format("-c{:02}-", core);
        fault.count = UINT64_MAX;
        fault.error = -EIO;
        server.disk().add_fault(fault);
        const auto failed = server.start();
        ASSERT_FALSE(failed.has_value());
        EXPECT_EQ(failed.error().code, Errc::io) << failed.error().text();
        server.stop();
        server.disk().clear_faults();
        ASSERT_TRUE(server.start().has_value());
        server.expect(resp_array({"GET", key_on(server, core)}), "$1\r\nv\r\n");
        server.stop();
    }
}

TEST(NodeCores, AStartWhoseLogFailsOnOneCoreCanBeKilledAtAnyTime) {
    for (std::uint64_t seed = 1; seed <= scaled(100); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        SimServer server(seed, small_config(), tiny_rings(), 3);
        io::SimFault fault;
        fault.code = prng.below(2) == 0 ? io::OpCode::write : io::OpCode::sync;
        fault.path_part = "wal/";
        fault.skip = prng.below(10);
        fault.error = -EIO;
        server.disk().add_fault(fault);
        const auto started = server.start();
        if (started.has_value()) {
            server.world.run_for(100ms);
        } else {
            EXPECT_EQ(started.error().code, Errc::io) << started.error().text();
        }
        server.crash();
        server.disk().clear_faults();
        ASSERT_TRUE(server.start().has_value());
        server.stop();
    }
}

TEST(NodeCores, AStopUnderLoadFinishesWhatWasBegun) {
    for (std::uint64_t seed = 1; seed <= scaled(60); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        Config config = small_config();
        config.snapshot.interval_entries = 20;
        SimServer server(seed, config, seed % 2 == 0 ? tiny_rings() : io::SimKnobs{},
                         static_cast<std::uint16_t>(2 + seed % 3));
        ASSERT_TRUE(server.start().has_value());
        std::vector<std::unique_ptr<SimClient>> clients;
        for (int c = 0; c < 4; ++c) {
            clients.push_back(server.connect());
            for (int i = 0; i < 200; ++i) {
                clients.back()->send(resp_array({"SET", fmt::format("{}-{}", c, i), "v"}));
            }
            clients.back()->send(resp_array({"KEYS", "*"}) + resp_array({"DBSIZE"}));
        }
        server.world.run_for(Duration(prng.below(10'000'000)));
        const Instant begun = server.world.now();
        server.stop();
        EXPECT_LT(server.world.now() - begun, Server::drain_timeout);
        std::size_t acknowledged = 0;
        for (const auto& client : clients) {
            ASSERT_TRUE(client->wait_end());
            const std::string replies = client->take();
            for (std::size_t at = replies.find("+OK"); at != std::string::npos;
                 at = replies.find("+OK", at + 1)) {
                ++acknowledged;
            }
        }
        clients.clear();
        ASSERT_TRUE(server.start().has_value());
        EXPECT_GE(server.node().keys(), acknowledged);
        server.stop();
    }
}

// --- congestion ----------------------------------------------------------------------------------

TEST(NodeCores, FullRingsHoldClientsBackAndLoseNothing) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        io::SimKnobs knobs = tiny_rings();
        knobs.core.doorbell = {10us, 1ms};
        knobs.disk.write = {1us, 20us};
        SimServer server(seed, small_config(), knobs, 3);
        ASSERT_TRUE(server.start().has_value());
        std::vector<std::unique_ptr<SimClient>> clients;
        std::vector<Dialog> dialogs(6);
        for (std::size_t c = 0; c < dialogs.size(); ++c) {
            for (int i = 0; i < 1500; ++i) {
                const std::string key = fmt::format("{}-{}", c, i % 30);
                const std::string value = std::to_string(i);
                dialogs[c].add({"SET", key, value}, "+OK\r\n");
                dialogs[c].add({"GET", key}, resp_bulk(value));
            }
            clients.push_back(server.connect());
            clients.back()->send_cut(dialogs[c].input, prng, 2000);
        }
        for (std::size_t c = 0; c < dialogs.size(); ++c) {
            ASSERT_TRUE(clients[c]->wait_for(dialogs[c].expected.size(), 600s));
            ASSERT_EQ(clients[c]->take(), dialogs[c].expected);
        }
        EXPECT_GT(full_rings(server), 100u);
        server.stop();
    }
}

TEST(NodeCores, MayBeMoreThanShards) {
    Config config = small_config();
    config.cluster.shards = 2;
    SimServer server(13, config, {}, 5);
    ASSERT_TRUE(server.start().has_value());
    std::vector<std::unique_ptr<SimClient>> clients;
    for (int i = 0; i < 10; ++i) {
        clients.push_back(server.connect());
        Dialog dialog;
        for (int n = 0; n < 50; ++n) {
            const std::string key = fmt::format("{}-{}", i, n);
            dialog.add({"SET", key, key}, "+OK\r\n");
            dialog.add({"GET", key}, resp_bulk(key));
        }
        dialog.add({"DBSIZE"}, fmt::format(":{}\r\n", (i + 1) * 50));
        talk(*clients.back(), dialog);
    }
    for (std::size_t core = 0; core < 5; ++core) EXPECT_EQ(server.server(core).connections(), 2u);
    clients.clear();
    const std::uint64_t digest = server.node().digest();
    server.stop();
    ASSERT_TRUE(server.start().has_value());
    EXPECT_EQ(server.node().digest(), digest);
    EXPECT_EQ(server.node().keys(), 500u);
    server.stop();
}

}  // namespace
}  // namespace kv
