#include "proto/http/http_response.h"

#include <fmt/format.h>

#include <iterator>

#include "proto/base/assert.h"

namespace kv::http {

namespace {

std::string_view reason_of(int code) noexcept {
    switch (code) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 431: return "Request Header Fields Too Large";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        default: break;
    }
    KV_UNREACHABLE("status {}", code);
}

}  // namespace

Response sentence(int code, std::string_view text) {
    Response response;
    response.code = code;
    response.body = text;
    response.body += '\n';
    return response;
}

void write_response(const Response& response, bool head, bool keep_alive, std::string& out) {
    fmt::format_to(std::back_inserter(out),
                   "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                   "Connection: {}\r\n{}{}\r\n",
                   response.code, reason_of(response.code), response.type, response.body.size(),
                   keep_alive ? "keep-alive" : "close",
                   response.code == 405 ? "Allow: GET, HEAD\r\n" : "", response.headers);
    if (!head) out += response.body;
}

}  // namespace kv::http
