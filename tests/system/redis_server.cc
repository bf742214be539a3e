#include "tests/system/redis_server.h"

#include <gtest/gtest.h>

#include "tests/support/wire.h"

namespace kv::test {

RedisServer::RedisServer()
    : port_(std::to_string(unused_port())),
      process_("redis-server", {"--port", port_, "--bind", "127.0.0.1", "--save", "", "--dir",
                                directory_.path(), "--logfile", "/dev/stderr"}) {}

bool RedisServer::ready() {
    const bool serves = !process_.wait_for_log("Ready to accept connections").empty();
    EXPECT_TRUE(serves) << "redis-server does not start: install redis-server\n" << process_.log();
    return serves;
}

}  // namespace kv::test
