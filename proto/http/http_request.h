#pragma once

/// The head of an HTTP/1.1 request, as far as the admin port needs it (RFC 9112): GET and HEAD of a
/// path, without a body. Strict, because whatever is lenient here is somebody's way in: lines end
/// in CRLF, there is one Host, nothing is folded, and a request with a body is refused. Pure.
///
///     GET /readyz?verbose HTTP/1.1 CRLF
///     Host: 10.0.0.1:9001 CRLF
///     Origin: http://10.0.0.2:9001 CRLF
///     CRLF

#include <cstddef>
#include <string>
#include <string_view>

namespace kv::http {

/// Longest head, its last CRLF included.
inline constexpr std::size_t head_bytes_max = std::size_t{8} << 10;

struct Request {
    bool head = false;  ///< HEAD: the answer of GET without its body
    bool keep_alive = true;
    std::string path;    ///< before '?', as sent; begins with '/'
    std::string query;   ///< behind it
    std::string origin;  ///< of the page that asks; empty: none said
};

struct Parsed {
    enum class Status { need_more, request, refused };
    Status status = Status::need_more;
    std::size_t consumed = 0;  ///< of a request
    int code = 0;              ///< of a refusal: behind it, the connection is of no use any more
    std::string_view why;      ///< one sentence
};

/// Takes the request at the front of `input` into `out`.
Parsed parse_request(std::string_view input, Request& out);

/// Whether `query` has `name`, alone or with a value: "verbose", "a=1&verbose".
bool has_parameter(std::string_view query, std::string_view name) noexcept;
/// Whether `query` has `name` with this value; a name may come several times.
bool has_parameter(std::string_view query, std::string_view name, std::string_view value) noexcept;

}  // namespace kv::http
