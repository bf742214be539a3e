#pragma once

/// What the admin port answers, as bytes of HTTP/1.1. Pure.

#include <string>
#include <string_view>

namespace kv::http {

inline constexpr std::string_view plain_text = "text/plain; charset=utf-8";
inline constexpr std::string_view json_text = "application/json";
inline constexpr std::string_view html_text = "text/html; charset=utf-8";

struct Response {
    int code = 200;
    std::string_view type = plain_text;
    std::string headers;  ///< further ones, each with its CRLF; ours, never a client's bytes
    std::string body;
};

/// A sentence, with its line end.
Response sentence(int code, std::string_view text);

/// Appends head and body to `out`. Nothing may keep an answer: all are of this moment. `head`: the
/// body is left out, its length is told.
void write_response(const Response& response, bool head, bool keep_alive, std::string& out);

}  // namespace kv::http
