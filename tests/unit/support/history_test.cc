#include "tests/support/history.h"

#include <gtest/gtest.h>

namespace kv::test {
namespace {

TEST(HistoryText, HoldsEveryField) {
    History history;
    history.add({.client = 7,
                 .key = "a b%\n",
                 .kind = OperationKind::set_if_value,
                 .argument = Datum::of(std::string("\xff new")),
                 .expected = Datum::of(std::string()),
                 .start = -5,
                 .end = 9,
                 .known = Known::ok,
                 .result = Datum::nil(),
                 .revision = 12});
    const std::size_t open = history.begin({.client = 1,
                                            .key = "k",
                                            .kind = OperationKind::incr,
                                            .argument = Datum::of(-3),
                                            .start = 40});
    history.begin({.client = 1, .key = "k", .kind = OperationKind::getdel, .start = 41});
    history.finish(open, 50, Known::ok, Datum::not_integer());
    const std::string text = history.text();
    EXPECT_EQ(text,
              "7 -5 9 ok set_if_value =a%20b%25%0a =%ff%20new = _ 12\n"
              "1 40 50 ok incr =k :-3 - ! 0\n"
              "1 41 - unknown getdel =k - - - 0\n");
    const auto again = History::parse("# recorded\n\n" + text);
    ASSERT_TRUE(again) << again.error().text();
    ASSERT_EQ(again->operations().size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(again->operations()[i], history.operations()[i]) << i;
    }
}

TEST(HistoryText, RefusesWhatItDoesNotMean) {
    const char* const lines[] = {
        "1 2 3 ok get =k - - _",               // a field is missing
        "1 2 3 ok get =k - - _ 0 0",           // one too many
        "1 2 3 ok  get =k - - _ 0",            // two spaces
        "x 2 3 ok get =k - - _ 0",             // client
        "1 2 1 ok get =k - - _ 0",             // ends before it begins
        "1 2 - ok get =k - - _ 0",             // known, but never ended
        "1 2 3 maybe get =k - - _ 0",          // outcome
        "1 2 3 ok got =k - - _ 0",             // kind
        "1 2 3 ok get k - - _ 0",              // key without =
        "1 2 3 ok get :5 - - _ 0",             // a number for a key
        "1 2 3 ok get =%4 - - _ 0",            // half an escape
        "1 2 3 ok get =%xy - - _ 0",           // no escape
        "1 2 3 ok get =k - - :1x 0",           // integer
        "1 2 3 ok get =k - - _ -1",            // revision
        "1 2 3 ok get =k - - _ 0\n1 2 3 nok",  // the second line
    };
    for (const char* const line : lines) {
        const auto parsed = History::parse(line);
        ASSERT_FALSE(parsed) << line;
        EXPECT_EQ(parsed.error().code, Errc::syntax) << line;
    }
    const auto second = History::parse(lines[std::size(lines) - 1]);
    EXPECT_NE(second.error().text().find("line 2"), std::string::npos);
}

}  // namespace
}  // namespace kv::test
