/// limits.maxmemory, and what INFO says about memory.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

const std::string refused = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
const std::string ok = "+OK\r\n";

std::uint64_t number(SimServer& server, std::string_view field) {
    const std::string text = server.info(field);
    return text.empty() ? 0 : std::stoull(text);
}

std::string set_limit(std::uint64_t bytes) {
    return resp_array({"CONFIG", "SET", "maxmemory", std::to_string(bytes)});
}

/// Sends one request and compares its reply.
void expect(SimClient& client, std::string_view request, std::string_view reply) {
    EXPECT_EQ(client.exchange(request, reply.size()), reply) << request;
}

/// Leaves `room` bytes for data; returns the limit.
std::uint64_t leave_room(SimServer& server, SimClient& client, std::uint64_t room) {
    const std::uint64_t limit = number(server, "used_memory") + room;
    expect(client, set_limit(limit), ok);
    return limit;
}

class Memory : public testing::TestWithParam<std::uint16_t> {
protected:
    void SetUp() override { ASSERT_TRUE(server.start().has_value()); }
    /// Writes values of 1000 bytes until they are refused; how many were taken.
    int fill(SimClient& client) {
        const std::string value(1000, 'v');
        for (int i = 0; i < 5000; ++i) {
            const std::string key = fmt::format("key:{}", i);
            client.send(resp_array({"SET", key, value}));
            EXPECT_TRUE(client.wait_for(ok.size()));
            if (client.received() != ok) {
                EXPECT_TRUE(client.wait_for(refused.size()));
                EXPECT_EQ(client.take(), refused);
                return i;
            }
            client.take();
        }
        ADD_FAILURE() << "nothing was ever refused";
        return 0;
    }
    SimServer server{7, small_config(), {}, GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Cores, Memory, testing::Values(1, 3), testing::PrintToStringParamName());

TEST_P(Memory, GrowthIsRefusedAtTheLimitAndTheRestGoesOn) {
    const auto client = server.connect();
    expect(*client, resp_array({"SET", "number", "1"}), ok);
    const std::uint64_t limit = leave_room(server, *client, 300'000);
    const int taken = fill(*client);
    EXPECT_GT(taken, 100);
    EXPECT_LT(taken, 300);
    // One value more than the limit allows, and what the buffers grew by.
    EXPECT_LT(number(server, "used_memory"), limit + 64'000);
    EXPECT_GT(number(server, "used_memory"), limit - 64'000);

    // Buffers come and go: well beyond the limit from here on.
    expect(*client, set_limit(limit - 50'000), ok);
    const std::string value(1000, 'v');
    // As Redis has it: also what would need no more.
    expect(*client, resp_array({"SET", "key:0", value}), refused);
    expect(*client, resp_array({"SET", "number", "2"}), refused);
    expect(*client, resp_array({"MSET", "new:1", "1", "new:2", "2", "new:3", "3"}), refused);
    expect(*client, resp_array({"APPEND", "key:0", "x"}), refused);
    expect(*client, resp_array({"INCR", "number"}), refused);
    expect(*client, resp_array({"INCRBY", "number", "5"}), refused);
    expect(*client, resp_array({"DECR", "number"}), refused);
    expect(*client, resp_array({"SETNX", "new:4", "1"}), refused);
    expect(*client, resp_array({"GETSET", "number", "1"}), refused);
    expect(*client, resp_array({"GET", "number"}), resp_bulk("1"));
    expect(*client, resp_array({"GET", "key:0"}), resp_bulk(value));
    expect(*client, resp_array({"EXISTS", "new:1", "new:2", "new:3", "new:4"}), ":0\r\n");
    expect(*client, resp_array({"GETDEL", "key:0"}), resp_bulk(value));
    // Who was told that enough is gone can write again, over whichever connection.
    std::vector<std::string> keys;
    for (int i = 1; i <= 99; ++i) keys.push_back(fmt::format("key:{}", i));
    std::vector<std::string_view> del{"DEL"};
    del.insert(del.end(), keys.begin(), keys.end());
    expect(*client, resp_array(del), ":99\r\n");
    const auto other = server.connect();
    expect(*other, resp_array({"SET", "new:5", value}), ok);
    expect(*client, resp_array({"INCR", "number"}), ":2\r\n");
}

TEST_P(Memory, AFlushMakesRoomAtOnce) {
    const auto client = server.connect();
    const std::uint64_t limit = leave_room(server, *client, 1'000'000);
    fill(*client);
    expect(*client, resp_array({"FLUSHALL"}), ok);
    expect(*client, resp_array({"SET", "new", "1"}), ok);
    server.world.run_for(1s);
    EXPECT_LT(number(server, "used_memory"), limit - 900'000);
    EXPECT_EQ(number(server, "used_memory_being_freed"), 0u);
}

TEST_P(Memory, ALimitThatIsLiftedRefusesNothing) {
    const auto client = server.connect();
    expect(*client, set_limit(1), ok);
    expect(*client, resp_array({"SET", "a", "1"}), refused);
    expect(*client, set_limit(0), ok);
    expect(*client, resp_array({"SET", "a", "1"}), ok);
    EXPECT_EQ(server.info("maxmemory"), "0");
}

TEST_P(Memory, NothingThatIsRefusedIsLogged) {
    const auto client = server.connect();
    expect(*client, set_limit(1), ok);
    server.world.run_for(5s);
    const std::uint64_t records = number(server, "wal_records");
    for (int i = 0; i < 10; ++i) expect(*client, resp_array({"SET", "a", "1"}), refused);
    server.world.run_for(5s);
    EXPECT_EQ(number(server, "wal_records"), records);
    server.stop();
    server.config.limits.maxmemory = 1;  // also from the file
    ASSERT_TRUE(server.start().has_value());
    const auto again = server.connect();
    expect(*again, resp_array({"GET", "a"}), "$-1\r\n");
    expect(*again, resp_array({"SET", "a", "1"}), refused);
}

TEST_P(Memory, EveryProtocolSaysWhy) {
    const auto client = server.connect();
    expect(*client, set_limit(1), ok);
    const std::string why = "command not allowed when used memory > 'maxmemory'.";
    server.expect("SET a 1\nGET a\nDEL a\n", "ERROR " + why + "\nNOT_FOUND\nNOT_FOUND\n");
    server.expect(set_frame("a", "1"), error_frame(why));
    server.expect("SET a 1\r\n", refused);
}

TEST_P(Memory, InfoCountsWhatIsHeld) {
    const auto client = server.connect();
    const std::uint64_t before = number(server, "used_memory");
    constexpr int values = 200;
    const std::string value(1000, 'v');
    for (int i = 0; i < values; ++i) {
        expect(*client, resp_array({"SET", fmt::format("key:{:04}", i), value}), ok);
    }
    server.world.run_for(1s);
    const std::uint64_t used = number(server, "used_memory");
    const std::uint64_t dataset = number(server, "used_memory_dataset");
    EXPECT_GT(used, before + std::uint64_t{values} * 1020);
    EXPECT_EQ(used, dataset + number(server, "used_memory_overhead"));
    EXPECT_GE(number(server, "used_memory_peak"), used);
    // Without /proc: what is held.
    EXPECT_EQ(number(server, "used_memory_rss"),
              number(server, "used_memory_reserved") + number(server, "used_memory_overhead"));
    EXPECT_FALSE(server.info("used_memory_human").empty());
    EXPECT_FALSE(server.info("used_memory_rss_human").empty());
    EXPECT_FALSE(server.info("used_memory_peak_human").empty());
    EXPECT_EQ(server.info("maxmemory_human"), "0B");
    EXPECT_EQ(server.info("mem_allocator"), "slab");
    expect(*client, resp_array({"FLUSHALL"}), ok);
    server.world.run_for(1s);
    EXPECT_LT(number(server, "used_memory"), used - std::uint64_t{values} * 1000);
    EXPECT_GE(number(server, "used_memory_peak"), used);
}

/// A long answer that a client does not take is memory, too.
TEST_P(Memory, BuffersOfClientsCount) {
    const auto client = server.connect();
    const std::string value(8000, 'v');
    expect(*client, resp_array({"SET", "k", value}), ok);
    const std::uint64_t before = number(server, "mem_clients");
    const auto deaf = server.connect();
    deaf->set_reading(false);
    for (int i = 0; i < 200; ++i) deaf->send(resp_array({"GET", "k"}));
    server.world.run_for(1s);
    EXPECT_GT(number(server, "mem_clients"), before + 500'000);
    deaf->set_reading(true);
    ASSERT_TRUE(deaf->wait_for(200 * resp_bulk(value).size()));
}

TEST(Statm, TheSecondNumberIsWhatIsInMemory) {
    EXPECT_EQ(resident_pages("251301 4711 1003 502 0 90210 0\n"), 4711u);
    EXPECT_EQ(resident_pages("251301 0 1003\n"), 0u);
    EXPECT_EQ(resident_pages(""), std::nullopt);
    EXPECT_EQ(resident_pages("251301"), std::nullopt);
    EXPECT_EQ(resident_pages("251301 x 7"), std::nullopt);
}

}  // namespace
}  // namespace kv
