#pragma once

/// Feeds a parser like a connection does and writes down what it takes, so that a test compares two
/// strings. What is not consumed yet lies in a heap block of exactly its size: a sanitizer sees
/// every read behind it, and each call sees the bytes at another address.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/codec.h"
#include "proto/request_check.h"

namespace kv {

/// "get <k>", "!wrong_arity text" for a refused one; tags of extended frames in front.
inline std::string describe(const Request& request) {
    std::string text;
    if (request.protocol == Protocol::binary_extended) {
        text.append("#").append(std::to_string(request.request_id));
        text.append(",").append(std::to_string(request.session));
        text.append(",").append(std::to_string(request.sequence)).append(" ");
    } else {
        EXPECT_EQ(request.request_id, 0u);
    }
    if (request.verb == Verb::invalid) {
        EXPECT_TRUE(request.args.empty());
        return text + "!" + std::string(name(request.error)) + " " + request.error_text;
    }
    EXPECT_EQ(request.error_text, "");
    text += command_name(request.verb);
    for (const std::string_view arg : request.args) text.append(" <").append(arg).append(">");
    return text;
}

template <typename Parser>
class Connection {
public:
    /// `patient`: like a server that waits for ParseResult::needed bytes before it calls again.
    explicit Connection(const RequestLimits& limits, bool patient = false)
        : parser_(limits), patient_(patient) {}

    void feed(std::string_view piece) {
        if (fatal_) return;
        replace(0, piece);
        if (patient_ && size_ < needed_) return;
        while (!fatal_) {
            Request request;
            request.request_id = 77;  // must not leak into a request without one
            const ParseResult result = parser_.next({block_.get(), size_}, request);
            switch (result.status) {
                case ParseStatus::request: events_.push_back(describe(request)); break;
                case ParseStatus::nothing: break;
                case ParseStatus::need_more:
                    EXPECT_EQ(result.consumed, 0u);
                    EXPECT_GT(result.needed, size_);
                    needed_ = result.needed;
                    return;
                case ParseStatus::fatal:
                    events_.push_back("fatal " + describe(request));
                    fatal_ = true;
                    return;
            }
            ASSERT_GT(result.consumed, 0u) << "no progress";
            ASSERT_LE(result.consumed, size_);
            replace(result.consumed, {});
        }
    }

    /// One line per request; "..." when bytes are left that are none yet.
    std::vector<std::string> finish() {
        if (!fatal_ && size_ > 0) events_.push_back("...");
        return events_;
    }
    bool fatal() const { return fatal_; }

private:
    void replace(std::size_t dropped, std::string_view added) {
        const std::size_t kept = size_ - dropped;
        std::unique_ptr<char[]> block(new char[kept + added.size()]);
        if (kept > 0) std::memcpy(block.get(), block_.get() + dropped, kept);
        if (!added.empty()) std::memcpy(block.get() + kept, added.data(), added.size());
        block_ = std::move(block);
        size_ = kept + added.size();
    }

    Parser parser_;
    bool patient_;
    bool fatal_ = false;
    std::size_t needed_ = 0;
    std::unique_ptr<char[]> block_{new char[0]};
    std::size_t size_ = 0;
    std::vector<std::string> events_;
};

/// A row of a table: bytes in, requests out.
struct ParseCase {
    const char* name;
    std::string wire;
    std::vector<std::string> expected;
};
inline void PrintTo(const ParseCase& row, std::ostream* out) {
    *out << row.name;
}
inline std::string case_name(const testing::TestParamInfo<ParseCase>& info) {
    return info.param.name;
}

/// The same requests come out of the whole, of two pieces cut anywhere, and of single bytes,
/// whether or not the caller waits for the bytes the parser said it needs.
template <typename Parser>
void expect_at_every_split(const ParseCase& row, const RequestLimits& limits) {
    for (std::size_t cut = 0; cut <= row.wire.size(); ++cut) {
        Connection<Parser> connection(limits);
        connection.feed(std::string_view(row.wire).substr(0, cut));
        connection.feed(std::string_view(row.wire).substr(cut));
        ASSERT_EQ(connection.finish(), row.expected) << "cut at byte " << cut;
    }
    for (const bool patient : {false, true}) {
        Connection<Parser> connection(limits, patient);
        for (const char& byte : row.wire) connection.feed({&byte, 1});
        ASSERT_EQ(connection.finish(), row.expected) << "byte by byte, patient " << patient;
    }
}

/// Calls the parser for every prefix of `wire`, which holds one request at its very end. Quadratic
/// work would take minutes.
template <typename Parser>
void expect_linear(const std::string& wire, const RequestLimits& limits) {
    Parser parser(limits);
    Request request;
    for (std::size_t size = 0; size < wire.size(); ++size) {
        const ParseResult result = parser.next(std::string_view(wire).substr(0, size), request);
        ASSERT_EQ(result.status, ParseStatus::need_more) << size << " " << request.error_text;
    }
    const ParseResult result = parser.next(wire, request);
    ASSERT_EQ(result.status, ParseStatus::request);
    ASSERT_EQ(result.consumed, wire.size());
    ASSERT_NE(request.verb, Verb::invalid) << request.error_text;
}

}  // namespace kv
