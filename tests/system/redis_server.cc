#include "tests/system/redis_server.h"

#include <gtest/gtest.h>

#include "tests/support/wire.h"

namespace kv::test {

namespace {

std::vector<std::string> arguments(bool cluster, const std::string& port,
                                   const std::string& directory) {
    std::vector<std::string> args{"--port", port,    "--bind",  "127.0.0.1", "--save",
                                  "",       "--dir", directory, "--logfile", "/dev/stderr"};
    if (cluster) {
        args.insert(args.end(),
                    {"--cluster-enabled", "yes", "--cluster-port", std::to_string(unused_port())});
    }
    return args;
}

}  // namespace

RedisServer::RedisServer(bool cluster)
    : cluster_(cluster),
      port_(std::to_string(unused_port())),
      process_("redis-server", arguments(cluster, port_, directory_.path())) {}

bool RedisServer::ready() {
    const bool serves = !process_.wait_for_log("Ready to accept connections").empty();
    EXPECT_TRUE(serves) << "redis-server does not start: install redis-server\n" << process_.log();
    if (!serves || !cluster_) return serves;
    Wire wire(static_cast<std::uint16_t>(std::stoi(port_)));
    EXPECT_EQ(wire.ask("CLUSTER ADDSLOTSRANGE 0 16383\r\n", "\r\n"), "+OK\r\n");
    const bool has_slots = !process_.wait_for_log("Cluster state changed: ok").empty();
    EXPECT_TRUE(has_slots) << process_.log();
    return has_slots;
}

}  // namespace kv::test
