#pragma once

/// A server's answer as a client sees it, whichever protocol brought it. Owns its bytes.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/result.h"
#include "proto/binary/binary_client.h"
#include "proto/resp/resp_client.h"

namespace kv::client {

enum class Mode : std::uint8_t { text, binary, resp };

std::string_view name(Mode mode) noexcept;

enum class ReplyKind : std::uint8_t {
    ok,
    pong,
    deleted,
    absent,    ///< no such key; RESP: nil
    value,     ///< text
    integer,   ///< integer
    keys,      ///< items: the names that KEYS of the text or binary protocol lists
    array,     ///< items
    status,    ///< text: a RESP simple string, or a text line that this build does not know
    error,     ///< text without the protocol's mark, RESP: with its prefix ("MOVED 7 h:p")
    redirect,  ///< text: the address
    // RESP3 only; proto/resp/resp_client.h describes them.
    boolean,     ///< integer: 0 or 1
    real,        ///< text
    big_number,  ///< text
    verbatim,    ///< text
    map,         ///< items: key, value, key, value
    set,         ///< items
    push,        ///< items
    attribute,   ///< items: key, value, ..., and last the value they are about
};

struct Reply {
    ReplyKind kind = ReplyKind::ok;
    std::string text;
    std::int64_t integer = 0;
    std::vector<Reply> items;

    /// The server did not do what it was asked.
    bool refused() const noexcept {
        return kind == ReplyKind::error || kind == ReplyKind::redirect ||
               (kind == ReplyKind::attribute && items.back().refused());
    }
};

/// Takes replies off the front of what arrives. Resumable: bytes looked at are not looked at again.
class ReplyReader {
public:
    explicit ReplyReader(Mode mode) noexcept : mode_(mode) {}

    void append(std::string_view bytes) { input_.append(bytes); }
    /// The next reply; nothing: more bytes are needed.
    /// Errors: `corrupt`, these bytes are not of this protocol; not to be called again.
    Result<std::optional<Reply>> next();
    /// Of the last reply, when it came in an extended binary frame.
    std::uint64_t request_id() const noexcept { return binary_.request_id; }

private:
    Result<std::optional<Reply>> next_text();
    Result<std::optional<Reply>> next_binary();
    Result<std::optional<Reply>> next_resp();

    Mode mode_;
    std::string input_;
    std::size_t scanned_ = 0;  // text: no LF before this offset
    binary::Reply binary_;
    resp::ReplyDecoder resp_;
};

}  // namespace kv::client
