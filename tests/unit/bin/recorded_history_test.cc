#include "bin/kv-bench/history.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/history.h"
#include "tests/support/temporary_directory.h"

namespace kv::bench {
namespace {

client::Reply error(std::string text) {
    client::Reply reply;
    reply.kind = client::ReplyKind::error;
    reply.text = std::move(text);
    return reply;
}

TEST(RecordedHistory, AnErrorOfAWriteIsUnknownUnlessItIsKnownToRefuse) {
    const struct {
        const char* text;
        OutcomeClass expected;
    } rows[] = {
        {"TIMEOUT commit timed out, outcome unknown", OutcomeClass::unknown},
        {"commit timed out, outcome unknown", OutcomeClass::unknown},
        {"ERR some keys were written and others refused, outcome unknown", OutcomeClass::unknown},
        {"ERR something that nobody has thought of", OutcomeClass::unknown},
        {"MOVED 7 127.0.0.1:1", OutcomeClass::not_applied},
        {"CLUSTERDOWN no leader for slot 7", OutcomeClass::not_applied},
        {"ERR value is not an integer or out of range", OutcomeClass::not_applied},
        {"ERR unknown command 'INCR'", OutcomeClass::not_applied},
        {"no leader available", OutcomeClass::not_applied},
        {"OOM no room", OutcomeClass::not_applied},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(classify(Operation::set, error(row.text)), row.expected) << row.text;
        EXPECT_EQ(classify(Operation::get, error(row.text)), OutcomeClass::not_applied) << row.text;
    }
    client::Reply reply;
    EXPECT_EQ(classify(Operation::set, reply), OutcomeClass::ok);
    reply.kind = client::ReplyKind::redirect;
    EXPECT_EQ(classify(Operation::set, reply), OutcomeClass::not_applied);
}

class HistoryLines : public testing::Test {
protected:
    std::string written() {
        EXPECT_TRUE(file_.close().has_value());
        std::ifstream in(path_);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    test::TemporaryDirectory directory_;
    std::string path_ = directory_.path() + "/history.txt";
    HistoryFile file_;
};

TEST_F(HistoryLines, EachReplyEndsTheOldestOperation) {
    ASSERT_TRUE(file_.open(path_).has_value());
    {
        ClientHistory history(file_, 3, Wire::resp);
        const Issued issued[] = {{Operation::set, "k", "v 1%"},  {Operation::get, "k", {}},
                                 {Operation::get, "absent", {}}, {Operation::incr, "c", {}},
                                 {Operation::del, "k", {}},      {Operation::set, "k", "v2"}};
        history.sent(issued, Instant(100ns));
        EXPECT_TRUE(history.received("+OK\r\n$4\r\nv", Instant(200ns)));
        EXPECT_TRUE(history.received(" 1%\r\n$-1\r\n:7\r\n:1\r\n-MOVED 1 a:2\r\n", Instant(300ns)));
        EXPECT_FALSE(history.received("+OK\r\n", Instant(400ns))) << "a reply to nothing";
    }
    const std::string text = written();
    EXPECT_EQ(text,
              "3 100 200 ok set =k =v%201%25 - + 0\n"
              "3 100 300 ok get =k - - =v%201%25 0\n"
              "3 100 300 ok get =absent - - _ 0\n"
              "3 100 300 ok incr =c :1 - :7 0\n"
              "3 100 300 ok del =k - - :1 0\n"
              "3 100 300 not_applied set =k =v2 - - 0\n");
    const auto read = test::History::parse(text);
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(read->operations()[1].result, test::Datum::of("v 1%"));
}

TEST_F(HistoryLines, WhatIsGivenUpIsUnknownAndTheNextConnectionStartsClean) {
    ASSERT_TRUE(file_.open(path_).has_value());
    {
        ClientHistory history(file_, 0, Wire::text);
        const Issued first[] = {{Operation::set, "k", "v1"}, {Operation::get, "k", {}}};
        history.sent(first, Instant(1ns));
        EXPECT_TRUE(history.received("O", Instant(2ns)));
        history.given_up();
        const Issued second[] = {{Operation::del, "k", {}}};
        history.sent(second, Instant(10ns));
        EXPECT_TRUE(history.received("NOT_FOUND\n", Instant(11ns)));
    }
    EXPECT_EQ(written(),
              "0 1 - unknown set =k =v1 - - 0\n"
              "0 1 - unknown get =k - - - 0\n"
              "0 10 11 ok del =k - - :0 0\n");
}

TEST_F(HistoryLines, AFileThatCannotBeWrittenIsAnError) {
    EXPECT_FALSE(file_.open(directory_.path() + "/no/such/folder").has_value());
    HistoryFile full;
    ASSERT_TRUE(full.open("/dev/full").has_value());
    full.append("line\n");
    EXPECT_FALSE(full.close().has_value());
}

}  // namespace
}  // namespace kv::bench
