#include "bin/kv-bench/error_class.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "proto/base/errc.h"
#include "proto/resp/resp_codec.h"

namespace kv::bench {
namespace {

TEST(ErrorClass, IsWhatTheErrorMeansToWhoSent) {
    struct Case {
        std::string_view text;
        ErrorClass error;
    };
    const Case cases[] = {
        {"MOVED 866 127.0.0.1:6380", ErrorClass::redirected},
        {"CLUSTERDOWN no leader for slot 7", ErrorClass::no_leader},
        {"LOADING the node is loading its data", ErrorClass::busy},
        {"MISCONF disk full: writes are refused until there is room again", ErrorClass::full},
        {"WRONGTYPE Operation against a key", ErrorClass::refused},
        {"ERR unknown command 'x'", ErrorClass::refused},
        {"ERR some keys were written and others refused, outcome unknown",
         ErrorClass::unknown_outcome},
        {"outcome unknown: connection lost", ErrorClass::unknown_outcome},
        {"connection lost", ErrorClass::connection_lost},
        {"timeout: no leader", ErrorClass::timed_out},
        {"ERR something else", ErrorClass::other},
        {"", ErrorClass::other},
    };
    for (const Case& c : cases) EXPECT_EQ(classify_error(c.text), c.error) << c.text;
    EXPECT_EQ(classify_error("REDIRECT", "h:1"), ErrorClass::redirected);
    EXPECT_EQ(classify_error("MOVED", "MOVED 866 h:1"), ErrorClass::redirected);
}

/// Whatever a node says of itself, it is the same error in every protocol.
TEST(ErrorClass, IsTheSameInEveryProtocol) {
    struct Case {
        Errc error;
        ErrorClass expected;
    };
    constexpr std::array cases{
        Case{Errc::no_leader, ErrorClass::no_leader},
        Case{Errc::busy, ErrorClass::busy},
        Case{Errc::loading, ErrorClass::busy},
        Case{Errc::shutting_down, ErrorClass::busy},
        Case{Errc::read_only, ErrorClass::full},
        Case{Errc::log_full, ErrorClass::full},
        Case{Errc::out_of_memory, ErrorClass::full},
        Case{Errc::syntax, ErrorClass::refused},
        Case{Errc::not_integer, ErrorClass::refused},
        Case{Errc::value_size, ErrorClass::refused},
        Case{Errc::commit_timeout, ErrorClass::unknown_outcome},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(classify_error(sentence(c.error)), c.expected) << name(c.error);
        std::string line;
        resp::append_error(line, c.error, sentence(c.error));
        EXPECT_EQ(classify_error(std::string_view(line).substr(1)), c.expected) << line;
        const bool unknown = outcome(c.error) == Outcome::unknown;
        EXPECT_EQ(not_applied(c.expected), !unknown) << name(c.error);
    }
}

TEST(ErrorClass, OnlyWhatHadNoEffectIsWorthRepeating) {
    std::size_t repeated = 0;
    for (std::size_t i = 0; i < error_classes_count; ++i) {
        const auto error = static_cast<ErrorClass>(i);
        if (!worth_repeating(error)) continue;
        ++repeated;
        EXPECT_TRUE(not_applied(error)) << name(error);
    }
    EXPECT_EQ(repeated, 3);
}

}  // namespace
}  // namespace kv::bench
