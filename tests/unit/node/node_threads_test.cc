/// A whole node on threads and real rings, with clients on sockets. What it answers is tested in
/// the simulator; here, that its cores share nothing that they must not. Also built with
/// ThreadSanitizer.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "engine/node/node.h"
#include "io/call.h"
#include "io/cores.h"
#include "proto/base/log.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wire.h"

namespace kv {
namespace {

constexpr int clients = 4;
constexpr int rounds = 30;
constexpr int keys = 40;

std::string resp(const std::vector<std::string>& words) {
    std::string out = fmt::format("*{}\r\n", words.size());
    for (const std::string& word : words) out += fmt::format("${}\r\n{}\r\n", word.size(), word);
    return out;
}

std::string bulk(const std::string& value) {
    return fmt::format("${}\r\n{}\r\n", value.size(), value);
}

/// What one client sends and must get: keys of its own on all shards, and a counter for itself.
struct Talk {
    std::string input;
    std::string expected;

    void add(const std::vector<std::string>& words, std::string reply) {
        input += resp(words);
        expected += reply;
    }
    Talk(int client, int round) {
        std::vector<std::string> names;
        std::string values = fmt::format("*{}\r\n", keys);
        for (int i = 0; i < keys; ++i) {
            const std::string key = fmt::format("client{}-{}", client, i);
            const std::string value = fmt::format("{}.{}", round, i);
            add({"SET", key, value}, "+OK\r\n");
            add({"GET", key}, bulk(value));
            add({"INCR", fmt::format("count{}-{}", client, i)}, fmt::format(":{}\r\n", round + 1));
            names.push_back(key);
            values += bulk(value);
        }
        names.insert(names.begin(), "MGET");
        add(names, values);
        names.front() = "EXISTS";
        add(names, fmt::format(":{}\r\n", keys));
    }
};

void talk(test::Wire& wire, int client) {
    for (int round = 0; round < rounds; ++round) {
        const Talk one(client, round);
        ASSERT_TRUE(wire.send(one.input));
        ASSERT_EQ(wire.receive(one.expected.size()), one.expected);
        // Requests about all cores: others change what they answer, their form stays.
        const std::string all = wire.ask(resp({"KEYS", fmt::format("client{}-*", client)}));
        ASSERT_EQ(all, fmt::format("*{}\r\n", keys));
        for (int i = 0; i < keys; ++i) {
            ASSERT_EQ(wire.receive_until("\n").front(), '$');
            ASSERT_TRUE(wire.receive_until("\n").starts_with(fmt::format("client{}-", client)));
        }
        ASSERT_EQ(wire.ask(resp({"DBSIZE"})).front(), ':');
        ASSERT_TRUE(wire.ask(resp({"INFO"}) + resp({"PING"}), "+PONG\r\n").starts_with('$'));
    }
}

/// The node's own life on its first core: says its port, waits for the word to stop.
struct Life {
    Life(io::Cores& c, Node& n) : cores(c), node(n), wanted(*c.reactors().front()) {}

    io::Task<void> run() {
        Result<StartReport> report = co_await node.start();
        started.set_value(report ? node.endpoint().port : std::uint16_t{0});
        if (report) co_await wanted.wait();
        for (std::size_t i = 0; i < cores.size(); ++i) {
            const CoreId core(static_cast<std::uint16_t>(i));
            auto ask = [&](io::Reactor&) { return node.server(i).counters.connections_received; };
            const std::uint64_t count = co_await io::call_on(*cores.reactors().front(), core, ask);
            received.push_back(count);
        }
        co_await node.stop();
        cores.reactors().front()->stop();
    }

    io::Cores& cores;
    Node& node;
    io::Event wanted;
    std::promise<std::uint16_t> started;
    std::vector<std::uint64_t> received;
};

class NodeThreads : public testing::TestWithParam<std::size_t> {};

TEST_P(NodeThreads, ServeClientsOnEveryCoreAndStop) {
    log::set_level(log::Level::off);
    const test::TemporaryDirectory directory;
    Config config;
    config.node.data_dir = directory / "data";
    config.client.bind = "127.0.0.1";
    config.client.port = 0;
    config.cluster.shards = 4;
    config.wal.segment_bytes = 1_MiB;
    config.snapshot.interval_entries = 200;
    for (int life = 0; life < 2; ++life) {
        io::CoresOptions options;
        options.cpus.assign(GetParam(), io::CoresOptions::not_bound);
        options.mailbox_slots = life == 0 ? 2 : io::Interconnect::slots_default;
        auto cores = io::Cores::start(options);
        ASSERT_TRUE(cores.has_value()) << cores.error().text();
        auto node = std::make_unique<Node>((*cores)->reactors(), config);
        Life whole(**cores, *node);
        (*cores)->reactors().front()->spawn(whole.run());
        std::thread world([&] {
            const std::uint16_t port = whole.started.get_future().get();
            EXPECT_NE(port, 0);
            std::vector<test::Wire> wires;  // all before the first may leave: on every core
            for (int i = 0; i < clients && port != 0; ++i) {
                wires.emplace_back(port);
                EXPECT_EQ(wires.back().ask(resp({"PING"})), "+PONG\r\n");
            }
            std::vector<std::thread> threads;
            for (std::size_t i = 0; i < wires.size(); ++i) {
                const int client = life * clients + static_cast<int>(i);
                threads.emplace_back([&wire = wires[i], client] { talk(wire, client); });
            }
            for (std::thread& thread : threads) thread.join();
            (*cores)->post(CoreId(0), [&](io::Reactor&) { whole.wanted.set(); });
        });
        (*cores)->run();
        world.join();
        ASSERT_EQ(whole.received.size(), GetParam());
        for (const std::uint64_t received : whole.received) EXPECT_GT(received, 0u);
        node.reset();
    }
}

INSTANTIATE_TEST_SUITE_P(Cores, NodeThreads, testing::Values<std::size_t>(1, 2, 3),
                         [](const testing::TestParamInfo<std::size_t>& cores) {
                             return fmt::format("Of{}", cores.param);
                         });

}  // namespace
}  // namespace kv
