#pragma once

/// What clients ask, independent of the protocol they speak. A Request views the bytes it was
/// parsed from: it is used before they are recycled, or copied.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proto/base/errc.h"

namespace kv {

/// Numbers are stable: they are the opcodes of the extended binary frame (proto/binary).
enum class Verb : std::uint8_t {
    invalid = 0,  ///< a request that its codec refused: see Request::error
    ping = 1,     ///< [message]
    echo = 2,     ///< message
    get = 3,      ///< key
    set = 4,      ///< key value
    del = 5,      ///< key...
    exists = 6,   ///< key...
    mget = 7,     ///< key...
    mset = 8,     ///< (key value)...
    keys = 9,     ///< [glob pattern]; without one: all
    dbsize = 10,
    flushall = 11,    ///< [ASYNC|SYNC], checked by the codec
    command = 12,     ///< [subcommand argument...]
    config_get = 13,  ///< pattern...
    info = 14,        ///< [section]...
    select = 15,      ///< database number
    quit = 16,
    client_setinfo = 17,  ///< attribute value
    add_server = 18,      ///< id host raft_port client_port, checked by the codec
    remove_server = 19,   ///< id, checked by the codec
};

/// How a reply is to be written. A connection speaks one family for good; within binary, each
/// request says whether it is an extended frame.
enum class Protocol : std::uint8_t { text, binary, binary_extended, resp };

struct Request {
    Verb verb = Verb::invalid;
    Protocol protocol = Protocol::text;
    std::span<const std::string_view> args;  ///< without the verb; views the input
    std::uint64_t request_id = 0;            ///< binary_extended: echoed in the reply
    std::uint64_t session = 0;               ///< binary_extended; 0: none
    std::uint64_t sequence = 0;
    // verb == invalid:
    Errc error = Errc::syntax;
    std::string
        error_text;  ///< in the idiom of the protocol, without its prefix ("ERROR ", "-ERR ")
};

/// Bounds that codecs check before they keep or allocate anything.
struct RequestLimits {
    std::size_t key_bytes_max = 65535;
    std::size_t value_bytes_max = 1u << 20;
    std::size_t args_max = 1u << 20;
    std::size_t inline_bytes_max = 64u << 10;   ///< RESP inline line
    std::size_t request_bytes_max = 16u << 20;  ///< all bytes of one request
};

}  // namespace kv
