#include "bin/kv-bench/stub.h"

#include <gtest/gtest.h>

namespace kv::bench {
namespace {

using namespace std::string_literals;

TEST(RequestCounter, CountsWhateverTheCut) {
    const struct {
        Wire wire;
        std::string bytes;
        std::size_t requests;
    } rows[] = {
        {Wire::resp, "*3\r\n$3\r\nSET\r\n$2\r\nkk\r\n$7\r\na\r\nb\r\nc\r\n*1\r\n$4\r\nPING\r\n", 2},
        {Wire::resp,
         "*2\r\n$3\r\nGET\r\n$11\r\nkey:0000001\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n"
         "\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
         3},
        {Wire::binary, "\1\0\0\0\7\0\1k\0\0\0\0"s + "\2\0\0\0\3\0\1k"s + "\5\0\0\0\0"s, 3},
        {Wire::text, "SET k v\nGET k\nPING\n", 3},
    };
    for (const auto& row : rows) {
        for (std::size_t cut = 0; cut <= row.bytes.size(); ++cut) {
            RequestCounter counter;
            const std::string_view bytes = row.bytes;
            const std::size_t before = counter.feed(bytes.substr(0, cut));
            EXPECT_EQ(before + counter.feed(bytes.substr(cut)), row.requests) << cut;
            EXPECT_EQ(counter.wire(), row.wire);
        }
        RequestCounter counter;
        std::size_t requests = 0;
        for (const char& c : row.bytes) requests += counter.feed({&c, 1});
        EXPECT_EQ(requests, row.requests);
    }
}

}  // namespace
}  // namespace kv::bench
