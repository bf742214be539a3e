/// Whatever way the bytes of a client arrive, and whatever completes first: the replies are those
/// of a map that executes the requests one after the other.

#include <gtest/gtest.h>

#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

constexpr Family families[] = {Family::text, Family::binary, Family::resp};

/// Where the streams first differ, for people.
testing::AssertionResult same_stream(const std::string& got, const std::string& expected) {
    const auto [a, b] = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
    if (a == got.end() && b == expected.end()) return testing::AssertionSuccess();
    const auto at = static_cast<std::size_t>(a - got.begin());
    const std::size_t from = at < 200 ? 0 : at - 200;
    return testing::AssertionFailure()
           << "byte " << at << " of " << expected.size() << ", got " << got.size() << " bytes\n"
           << "got:      ..." << testing::PrintToString(got.substr(from, 400)) << "\n"
           << "expected: ..." << testing::PrintToString(expected.substr(from, 400));
}

/// Limits that make a pipeline pause and resume all the time, or never.
Config drawn_config(Prng& prng) {
    Config config = small_config();
    const std::size_t pipelines[] = {1, 2, 33, 1024};
    config.client.pipeline_max = pipelines[prng.below(std::size(pipelines))];
    config.client.pipeline_bytes_max = prng.below(2) == 0 ? 4_KiB : 4_MiB;
    config.client.output_pause_bytes = prng.below(2) == 0 ? 64_KiB : 8_MiB;
    config.cluster.shards = static_cast<std::uint16_t>(prng.between(1, 8));
    config.wal.sync = prng.below(3) == 0 ? WalSync::fdatasync : WalSync::automatic;
    return config;
}

std::uint16_t drawn_cores(Prng& prng) {
    return static_cast<std::uint16_t>(prng.between(1, 4));
}

io::SimKnobs drawn_knobs(Prng& prng) {
    io::SimKnobs knobs;
    if (prng.below(3) == 0) knobs.network.window_bytes_max = 4 * 1024;
    if (prng.below(2) == 0) knobs.disk.write = {1us, 20us};
    if (prng.below(4) == 0) knobs.core.buffers_max = 4;
    return knobs;
}

void run_pipeline(Family family, std::uint64_t seed, std::size_t requests) {
    Prng prng = Prng::split(seed, "pipeline");
    const Script script = random_script(family, seed, requests);
    SimServer server(seed, drawn_config(prng), drawn_knobs(prng), drawn_cores(prng));
    const auto started = server.start();
    ASSERT_TRUE(started.has_value()) << started.error().text();
    {
        const auto client = server.connect();
        client->send_cut(script.input, prng, prng.below(2) == 0 ? 100 : 20'000);
        ASSERT_TRUE(client->wait_for(script.expected.size(), 600s))
            << client->received().size() << " of " << script.expected.size() << " bytes came";
        ASSERT_TRUE(same_stream(client->take(), script.expected));
    }
    EXPECT_EQ(server.info("total_commands_processed"), std::to_string(requests));
    EXPECT_EQ(server.node().keys(), script.left.size());
    server.stop();
}

void run_pipelines(Family family) {
    const std::uint64_t seeds = scaled(200);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE(seed);
        run_pipeline(family, seed, 5000);
        if (testing::Test::HasFailure()) return;
    }
}

TEST(Pipelines, OfTextAreAnsweredInOrder) {
    run_pipelines(Family::text);
}
TEST(Pipelines, OfFramesAreAnsweredInOrder) {
    run_pipelines(Family::binary);
}
TEST(Pipelines, OfRespAreAnsweredInOrder) {
    run_pipelines(Family::resp);
}

TEST(Pipelines, EverySegmentationGivesTheSameReplies) {
    for (const Family family : families) {
        for (std::uint64_t seed = 1; seed <= scaled(400); ++seed) {
            SCOPED_TRACE(seed);
            Prng prng = Prng::split(seed, "pieces");
            const Script script = random_script(family, 7, 120);  // the same every time
            SimServer server(seed, drawn_config(prng), drawn_knobs(prng), drawn_cores(prng));
            ASSERT_TRUE(server.start().has_value());
            const auto client = server.connect();
            if (seed % 2 == 0) client->set_gap(50us);
            const std::size_t piece_max[] = {1, 2, 7, 100, 5000};
            client->send_cut(script.input, prng, piece_max[prng.below(5)]);
            ASSERT_TRUE(client->wait_for(script.expected.size(), 600s));
            ASSERT_TRUE(same_stream(client->take(), script.expected));
        }
    }
}

TEST(Pipelines, ClientsOnKeysOfTheirOwnDoNotDisturbEachOther) {
    for (std::uint64_t seed = 1; seed <= scaled(60); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng = Prng::split(seed, "clients");
        Config config = drawn_config(prng);
        config.client.pipeline_max = 64;
        SimServer server(seed, config, drawn_knobs(prng), drawn_cores(prng));
        ASSERT_TRUE(server.start().has_value());
        struct Talk {
            Script script;
            std::unique_ptr<SimClient> client;
        };
        std::vector<Talk> talks;
        for (std::uint64_t i = 0; i < 6; ++i) {
            // Only text clients see all keys, and FLUSHALL or DBSIZE concern everybody: so each
            // client has a family without them but the last, which talks alone at the end.
            Talk& talk = talks.emplace_back();
            const std::string prefix(1, static_cast<char>('a' + i));
            for (int n = 0; n < 300; ++n) {
                const std::string key = prefix + std::to_string(n % 5);
                talk.script.input += resp_array({"SET", key, std::to_string(n)}) +
                                     resp_array({"GET", key}) + resp_array({"MGET", key, "none"});
                talk.script.expected += "+OK\r\n" + resp_bulk(std::to_string(n)) + "*2\r\n" +
                                        resp_bulk(std::to_string(n)) + "$-1\r\n";
            }
            talk.client = server.connect();
            talk.client->send_cut(talk.script.input, prng, 3000);
        }
        for (Talk& talk : talks) {
            ASSERT_TRUE(talk.client->wait_for(talk.script.expected.size(), 600s));
            ASSERT_TRUE(same_stream(talk.client->take(), talk.script.expected));
        }
    }
}

// --- determinism ---------------------------------------------------------------------------------

struct Trace {
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    std::uint64_t digest = 0;
    bool operator==(const Trace&) const = default;
};

void whole_life(std::uint64_t seed, Trace& trace) {
    Prng prng = Prng::split(seed, "life");
    SimServer server(seed, drawn_config(prng), drawn_knobs(prng), drawn_cores(prng));
    ASSERT_TRUE(server.start().has_value());
    for (int life = 0; life < 3; ++life) {
        std::vector<std::unique_ptr<SimClient>> clients;
        for (const Family family : families) {
            clients.push_back(server.connect());
            const Script script = random_script(family, seed + static_cast<std::uint64_t>(life),
                                                200, family == Family::text ? "t" : "k");
            clients.back()->send_cut(script.input, prng, 1000);
        }
        server.world.run_for(Duration(prng.below(50'000'000)));
        if (life == 1) {
            clients.clear();
            server.stop();
        } else {
            server.crash(io::all_crashes[prng.below(io::all_crashes.size())]);
        }
        ASSERT_TRUE(server.start().has_value());
    }
    trace = {server.world.trace_hash(), server.world.events(), server.node().digest()};
}

TEST(Determinism, OneSeedGivesOneRunOfAWholeNodeWithItsClients) {
    std::vector<Trace> seen;
    for (std::uint64_t seed = 1; seed <= scaled(60); ++seed) {
        SCOPED_TRACE(seed);
        Trace first;
        Trace second;
        whole_life(seed, first);
        whole_life(seed, second);
        EXPECT_EQ(first, second);
        for (const Trace& other : seen) EXPECT_NE(first.hash, other.hash);
        seen.push_back(first);
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace kv
