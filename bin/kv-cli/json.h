#pragma once

/// Replies as JSON, for programs. Nothing of a reply is lost:
///
///     text                  string when it is UTF-8, else {"base64":"..."}
///     integer, big number   number, all digits
///     double                number; "inf", "-inf" and "nan" as strings
///     boolean, nil          true, false, null
///     error, redirect       {"error":"ERR ..."}, {"error":"REDIRECT host:port"}
///     array, set, keys      array
///     push                  {"push":[...]}
///     map                   object; {"pairs":[[key,value],...]} when a key is no UTF-8 text or
///                           number, or occurs twice
///     attribute             {"attributes":<a map>,"value":<what they are about>}

#include <string>
#include <string_view>

#include "bin/client/reply.h"

namespace kv::cli {

/// One JSON value in one line, without its end.
std::string json(const client::Reply& reply);

/// Well-formed UTF-8: no overlong forms, surrogates, or code points beyond U+10FFFF.
bool is_utf8(std::string_view text) noexcept;

}  // namespace kv::cli
