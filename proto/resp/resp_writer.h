#pragma once

/// Writes replies that nest, in RESP2 or in RESP3: what the one has no type for becomes what Redis
/// sends to clients of the other. Whoever opens an array, map or set writes as many elements as it
/// announced (of a map: keys and values).
///
///     method       RESP2              RESP3
///     null         $-1                _
///     null_array   *-1                _
///     map n        *2n                %n
///     set n        *n                 ~n
///     boolean      :0 or :1           #f or #t
///     verbatim     $n                 =n, txt:

#include <string>
#include <string_view>

#include "proto/resp/resp_codec.h"

namespace kv::resp {

class Writer {
public:
    Writer(std::string& out, bool resp3) noexcept : out_(out), resp3_(resp3) {}

    void simple(std::string_view text) { append_simple(out_, text); }
    void bulk(std::string_view bytes) { append_bulk(out_, bytes); }
    void integer(std::int64_t number) { append_integer(out_, number); }
    void null() { resp3_ ? append_null(out_) : append_nil(out_); }
    void null_array() { resp3_ ? append_null(out_) : void(out_.append("*-1\r\n")); }
    void array(std::size_t elements) { append_array_header(out_, elements); }
    void set(std::size_t elements) { append_number(out_, resp3_ ? '~' : '*', elements); }
    void map(std::size_t pairs) {
        append_number(out_, resp3_ ? '%' : '*', resp3_ ? pairs : 2 * pairs);
    }
    void boolean(bool value) {
        resp3_ ? void(out_.append(value ? "#t\r\n" : "#f\r\n")) : integer(value ? 1 : 0);
    }
    void verbatim(std::string_view text) {
        if (!resp3_) return bulk(text);
        append_number(out_, '=', text.size() + 4);
        out_.append("txt:").append(text).append("\r\n");
    }

private:
    std::string& out_;
    bool resp3_;
};

}  // namespace kv::resp
