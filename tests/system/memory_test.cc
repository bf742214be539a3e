/// What INFO says of memory is what the system says, to within 5 %.

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tests/system/server.h"

namespace kv::test {
namespace {

std::string info(Server& server) {
    Wire wire(server.port());
    wire.send("*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n");
    return wire.receive_until("mem_allocator");
}

double number(const std::string& text, const std::string& field) {
    const std::size_t at = text.find("\n" + field + ":");
    return at == std::string::npos ? 0 : std::stod(text.substr(at + field.size() + 2));
}

/// VmRSS of the process.
double resident(Server& server) {
    std::ifstream status("/proc/" + std::to_string(server.process().pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) * 1024;
    }
    return 0;
}

/// INFO once its figure of the system is at least as new as the call: it asks every second.
std::string fresh_info(Server& server) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    return info(server);
}

TEST(MemoryOfServer, InfoIsTrueToFivePercent) {
    const TemporaryDirectory directory;
    Server server(directory / "data");
    ASSERT_TRUE(server.ready());
    const double used_before = number(fresh_info(server), "used_memory");
    const double before = resident(server);
    const std::string keys = sanitized() ? "50000" : "1000000";
    const Outcome got = run_program(
        program("KV_BENCH"),
        {"-p", server.port_text(), "--protocol", "resp", "-n", "1", "--keys", keys, "--key-bytes",
         "16", "--value-bytes", "100", "--preload", "--warmup", "0s", "-c", "10", "--json"});
    ASSERT_EQ(got.exit_code, 0) << got.err;
    const std::string text = fresh_info(server);
    const double after = resident(server);
    EXPECT_NEAR(number(text, "used_memory_rss"), after, 0.05 * after) << text;
    if (!sanitized()) {
        const double grown = after - before;
        EXPECT_NEAR(number(text, "used_memory") - used_before, grown, 0.05 * grown) << text;
        EXPECT_GT(number(text, "used_memory_dataset"), 1e6 * 116);
    }
    EXPECT_EQ(server.stop(), 0) << server.process().log();
}

}  // namespace
}  // namespace kv::test
