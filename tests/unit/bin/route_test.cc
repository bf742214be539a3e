#include "bin/client/route.h"

#include <gtest/gtest.h>

#include "bin/client/request.h"
#include "proto/slot.h"

namespace kv::client {
namespace {

Route route_of_words(Mode mode, const std::vector<std::string_view>& words) {
    const auto bytes = encode_words(mode, words, 7);
    EXPECT_TRUE(bytes.has_value()) << bytes.error().text();
    return route_of(mode, *bytes);
}

TEST(RouteOf, ARequestIsItsKeysAndWhetherItReads) {
    const struct {
        std::vector<std::string_view> words;
        std::optional<SlotId> slot;
        bool reads;
    } cases[] = {
        {{"SET", "k", "v"}, slot_of("k"), false},
        {{"GET", "k"}, slot_of("k"), true},
        {{"DEL", "k"}, slot_of("k"), false},
        {{"get", "k"}, slot_of("k"), true},
        {{"INCRBY", "k", "5"}, slot_of("k"), false},
        {{"GETDEL", "k"}, slot_of("k"), false},
        {{"STRLEN", "{tag}a"}, slot_of("tag"), true},
        {{"OBJECT", "FREQ", "k"}, slot_of("k"), true},
        {{"MGET", "{tag}a", "{tag}b"}, slot_of("tag"), true},
        {{"MGET", "a", "b"}, std::nullopt, true},
        {{"MSET", "{tag}a", "1", "{tag}b", "2"}, slot_of("tag"), false},
        {{"MSET", "a", "1", "b", "2"}, std::nullopt, false},
        {{"DEL", "a", "b"}, std::nullopt, false},
        {{"PING"}, std::nullopt, true},
        {{"DBSIZE"}, std::nullopt, true},
        {{"FLUSHALL"}, std::nullopt, false},
        {{"CONFIG", "SET", "a", "b"}, std::nullopt, false},
        {{"CLUSTER", "TRANSFER", "1", "2"}, std::nullopt, false},
    };
    for (const auto& c : cases) {
        for (const Mode mode : {Mode::resp, Mode::binary}) {
            EXPECT_EQ(route_of_words(mode, c.words), (Route{c.slot, c.reads}))
                << c.words[0] << " " << name(mode);
        }
    }
}

TEST(RouteOf, ALineOfTextIsTheSame) {
    EXPECT_EQ(route_of(Mode::text, "SET k a b\n"), (Route{slot_of("k"), false}));
    EXPECT_EQ(route_of(Mode::text, "GET k\n"), (Route{slot_of("k"), true}));
    EXPECT_EQ(route_of(Mode::text, "KEYS\n"), (Route{std::nullopt, true}));
    EXPECT_EQ(route_of(Mode::text, "ADDSERVER 4 h 1 2\n"), Route());
}

TEST(RouteOf, WhatCannotBeReadMayWriteAndHasNoSlot) {
    EXPECT_EQ(route_of_words(Mode::resp, {"LPUSH", "k", "v"}), Route());
    EXPECT_EQ(route_of_words(Mode::resp, {"GET"}), Route());
    EXPECT_EQ(route_of(Mode::text, "whatever\n"), Route());
    EXPECT_EQ(route_of(Mode::binary, "\x02"), Route());
}

Reply reply_of(ReplyKind kind, std::string_view text) {
    Reply reply;
    reply.kind = kind;
    reply.text = text;
    return reply;
}

TEST(NextStep, IsWhatTheReplyAllows) {
    const Route read{SlotId(1), true};
    const Route write{SlotId(1), false};
    const Route wide_read{std::nullopt, true};
    const Route wide_write;
    constexpr auto error = ReplyKind::error;
    const struct {
        Mode mode;
        Route route;
        ReplyKind kind;
        std::string_view text;
        Next next;
    } cases[] = {
        {Mode::text, write, ReplyKind::ok, "", {}},
        {Mode::text, read, ReplyKind::value, "no leader available", {}},
        {Mode::text, write, ReplyKind::redirect, "h:1", {Step::follow, "h:1"}},
        {Mode::binary, wide_write, ReplyKind::redirect, "h:1", {Step::follow, "h:1"}},
        {Mode::resp, write, error, "MOVED 5 h:1", {Step::follow, "h:1"}},
        {Mode::resp, write, error, "MOVED 5 ::1:7", {Step::follow, "::1:7"}},
        {Mode::text, write, error, "MOVED 5 h:1", {}},
        {Mode::resp, write, error, "ASK 5 h:1", {}},
        {Mode::text, write, error, "no leader available", {Step::retry, ""}},
        {Mode::binary, read, error, "no leader available", {Step::retry, ""}},
        {Mode::binary, wide_read, error, "no leader available", {Step::retry, ""}},
        {Mode::binary, wide_write, error, "no leader available", {}},
        {Mode::resp, write, error, "CLUSTERDOWN no leader for slot 5", {Step::retry, ""}},
        {Mode::resp, wide_write, error, "CLUSTERDOWN no leader for slot 5", {}},
        {Mode::resp,
         write,
         error,
         "BUSY too many writes are waiting, try again",
         {Step::retry, ""}},
        {Mode::text, write, error, "too many writes are waiting, try again", {Step::retry, ""}},
        {Mode::resp,
         write,
         error,
         "BUSY the log has reached wal.bytes_max, writes are refused",
         {}},
        {Mode::resp, write, error, "ERR the server is shutting down", {Step::retry, ""}},
        {Mode::resp, read, error, "LOADING the node is loading its data", {Step::retry, ""}},
        {Mode::text, write, error, "commit timed out, outcome unknown", {}},
        {Mode::resp, write, error, "TIMEOUT commit timed out, outcome unknown", {}},
        {Mode::resp, write, error, "MISCONF disk full: writes are refused until there is room", {}},
        {Mode::resp, read, error, "ERR unknown command 'no leader available'", {}},
        {Mode::resp, read, error, "ERR", {}},
    };
    for (const auto& c : cases) {
        EXPECT_EQ(next_step(c.mode, c.route, reply_of(c.kind, c.text)), c.next)
            << name(c.mode) << " " << c.text;
    }
}

TEST(NextStep, OfALostConnectionRepeatsReadsAndWhatWasNotSent) {
    const Route read{SlotId(1), true};
    const Route write{SlotId(1), false};
    EXPECT_EQ(step_after_loss(read, true), Step::retry);
    EXPECT_EQ(step_after_loss(read, false), Step::retry);
    EXPECT_EQ(step_after_loss(write, false), Step::retry);
    EXPECT_EQ(step_after_loss(write, true), Step::unknown);
    EXPECT_TRUE(outcome_unknown(lost_reply(write, true, "gone")));
    EXPECT_FALSE(outcome_unknown(lost_reply(write, false, "gone")));
    EXPECT_FALSE(outcome_unknown(lost_reply(read, true, "gone")));
}

TEST(NextStep, AnUnknownOutcomeIsOneInEachProtocol) {
    for (const std::string_view text :
         {"commit timed out, outcome unknown", "TIMEOUT commit timed out, outcome unknown"}) {
        EXPECT_TRUE(outcome_unknown(reply_of(ReplyKind::error, text)));
        EXPECT_FALSE(outcome_unknown(reply_of(ReplyKind::value, text)));
    }
    EXPECT_FALSE(outcome_unknown(reply_of(ReplyKind::error, "no leader available")));
}

TEST(ParseAddress, TakesHostsAndBothKindsOfNumbers) {
    EXPECT_EQ(parse_address("db-1:6379"), (Address{"db-1", 6379}));
    EXPECT_EQ(parse_address("10.0.0.1:1"), (Address{"10.0.0.1", 1}));
    EXPECT_EQ(parse_address("[::1]:65535"), (Address{"::1", 65535}));
    EXPECT_EQ(parse_address("fe80::2:7000"), (Address{"fe80::2", 7000}));
    EXPECT_EQ((Address{"::1", 7}).text(), "[::1]:7");
    EXPECT_EQ((Address{"db", 7}).text(), "db:7");
    for (const char* text : {"", "db", ":1", "db:", "db:0", "db:65536", "db:x", "db:-1"}) {
        EXPECT_EQ(parse_address(text), std::nullopt) << text;
    }
}

}  // namespace
}  // namespace kv::client
