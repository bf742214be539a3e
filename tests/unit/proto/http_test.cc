#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "proto/http/http_request.h"
#include "proto/http/http_response.h"

namespace kv::http {
namespace {

/// In a block of exactly its size: AddressSanitizer sees over-reads.
Parsed parse(std::string_view wire, Request& out) {
    const std::vector<char> exact(wire.begin(), wire.end());
    return parse_request({exact.data(), exact.size()}, out);
}

struct Right {
    const char* name;
    std::string_view wire;
    std::string_view path;
    std::string_view query;
    bool head;
    bool keep_alive;
    std::string_view origin;
};
const Right right[] = {
    {"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "", false, true, ""},
    {"query", "GET /a/b?c=d?e HTTP/1.1\r\nHost: a\r\n\r\n", "/a/b", "c=d?e", false, true, ""},
    {"head", "HEAD /x HTTP/1.1\r\nHost:\r\n\r\n", "/x", "", true, true, ""},
    {"close", "GET / HTTP/1.1\r\nhost: a\r\nCONNECTION: Close\r\n\r\n", "/", "", false, false, ""},
    {"close_wins", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n", "/", "",
     false, false, ""},
    {"old", "GET / HTTP/1.0\r\n\r\n", "/", "", false, false, ""},
    {"old_kept", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/", "", false, true, ""},
    {"origin", "GET / HTTP/1.1\r\nHost: a\r\nOrigin: \t http://b:1 \r\n\r\n", "/", "", false, true,
     "http://b:1"},
    {"no_body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "/", "", false, true, ""},
};

TEST(HttpRequest, HeadsAreReadAtEverySplit) {
    for (const Right& one : right) {
        SCOPED_TRACE(one.name);
        Request request;
        for (std::size_t cut = 0; cut < one.wire.size(); ++cut) {
            EXPECT_EQ(parse(one.wire.substr(0, cut), request).status, Parsed::Status::need_more)
                << cut;
        }
        for (const std::string_view behind : {"", "GET /next", "\x16\x03"}) {
            const Parsed parsed = parse(std::string(one.wire) + std::string(behind), request);
            ASSERT_EQ(parsed.status, Parsed::Status::request) << parsed.why;
            EXPECT_EQ(parsed.consumed, one.wire.size());
            EXPECT_EQ(request.path, one.path);
            EXPECT_EQ(request.query, one.query);
            EXPECT_EQ(request.head, one.head);
            EXPECT_EQ(request.keep_alive, one.keep_alive);
            EXPECT_EQ(request.origin, one.origin);
        }
    }
}

struct Wrong {
    const char* name;
    std::string wire;
    int code;
};

TEST(HttpRequest, WhatIsWrongIsRefusedWithASentence) {
    const std::string host = "Host: a\r\n";
    const Wrong wrong[] = {
        {"post", "POST / HTTP/1.1\r\n" + host + "\r\n", 405},
        {"lower_case", "get / HTTP/1.1\r\n" + host + "\r\n", 400},
        {"tls", "\x16\x03\x01", 400},
        {"redis", "*1\r\n$4\r\nPING\r\n", 400},
        {"no_path", "GET HTTP/1.1\r\n" + host + "\r\n", 400},
        {"absolute", "GET http://a/ HTTP/1.1\r\n" + host + "\r\n", 400},
        {"two_spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400},
        {"high_byte_in_path", "GET /\xc3\xa4 HTTP/1.1\r\n" + host + "\r\n", 400},
        {"version", "GET / HTTP/2.0\r\n" + host + "\r\n", 505},
        {"version_tail", "GET / HTTP/1.1 x\r\n" + host + "\r\n", 505},
        {"no_host", "GET / HTTP/1.1\r\n\r\n", 400},
        {"two_hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
        {"body", "GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\nx", 400},
        {"chunked", "GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", 400},
        {"folded", "GET / HTTP/1.1\r\n" + host + " more\r\n\r\n", 400},
        {"space_before_colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"bare_line_feed", "GET / HTTP/1.1\r\n" + host + "A: b\nC: d\r\n\r\n", 400},
        {"bare_return", "GET / HTTP/1.1\r\n" + host + "A: b\rC: d\r\n\r\n", 400},
        {"nul", std::string("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29), 400},
        {"too_long", "GET /" + std::string(head_bytes_max, 'a'), 431},
        {"end_too_late", "GET / HTTP/1.1\r\nA: " + std::string(head_bytes_max, 'a') + "\r\n\r\n",
         431},
    };
    for (const Wrong& one : wrong) {
        SCOPED_TRACE(one.name);
        Request request;
        const Parsed parsed = parse(one.wire, request);
        EXPECT_EQ(parsed.status, Parsed::Status::refused);
        EXPECT_EQ(parsed.code, one.code);
        EXPECT_TRUE(parsed.why.ends_with('.'));
    }
}

TEST(HttpRequest, TheLongestHeadFits) {
    const std::string front = "GET / HTTP/1.1\r\nHost: ";
    const std::string head =
        front + std::string(head_bytes_max - front.size() - 4, 'a') + "\r\n\r\n";
    Request request;
    EXPECT_EQ(parse(head, request).status, Parsed::Status::request);
    EXPECT_EQ(parse(head + "GET", request).status, Parsed::Status::request);
}

TEST(HttpRequest, ParametersOfAQueryHaveNamesAndValues) {
    EXPECT_TRUE(has_parameter("verbose", "verbose"));
    EXPECT_TRUE(has_parameter("a=1&verbose=", "verbose"));
    EXPECT_FALSE(has_parameter("verbosely", "verbose"));
    EXPECT_FALSE(has_parameter("", "verbose"));
    EXPECT_TRUE(has_parameter("exclude=a&exclude=b", "exclude", "a"));
    EXPECT_TRUE(has_parameter("exclude=a&exclude=b", "exclude", "b"));
    EXPECT_FALSE(has_parameter("exclude=ab", "exclude", "a"));
}

TEST(HttpResponse, TellsItsLengthAndWhetherTheConnectionStays) {
    std::string out;
    write_response(sentence(200, "yes"), false, true, out);
    EXPECT_TRUE(out.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_NE(out.find("Content-Length: 4\r\n"), out.npos);
    EXPECT_NE(out.find("Connection: keep-alive\r\n"), out.npos);
    EXPECT_TRUE(out.ends_with("\r\n\r\nyes\n"));
    out.clear();
    write_response(sentence(405, "no"), true, false, out);
    EXPECT_NE(out.find("Content-Length: 3\r\n"), out.npos);
    EXPECT_NE(out.find("Connection: close\r\n"), out.npos);
    EXPECT_NE(out.find("Allow: GET, HEAD\r\n"), out.npos);
    EXPECT_TRUE(out.ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace kv::http
