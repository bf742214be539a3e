#pragma once

/// The optional words behind the fixed arguments of a command, parsed. A codec parses them to
/// refuse what is wrong, and whoever executes the command parses them once more: what passed then
/// passes again. Errors carry the text that clients see. Pure.

#include <cstdint>
#include <span>
#include <string_view>

#include "proto/base/result.h"
#include "proto/command_codec.h"

namespace kv {

using Args = std::span<const std::string_view>;

/// Conditions of a write, as flags of a Command.
struct WriteOptions {
    std::uint8_t flags = 0;  ///< CommandFlag
    std::uint64_t if_revision = 0;
    std::string_view if_equal;
};

/// Behind SET key value:
///
///     NX | XX | IFEQ value | IFREV revision    one condition at most; else nil, nothing is changed
///     GET                                      answers the value before, instead of OK
///     KEEPTTL                                  nothing: keys do not expire
///     EX | PX | EXAT | PXAT number             refused: expiry comes later
Result<WriteOptions> parse_set_options(Args options);

/// Behind DELEX key: [IFEQ value | IFREV revision].
Result<WriteOptions> parse_delex_options(Args options);

struct ScanOptions {
    std::uint64_t cursor = 0;
    std::uint64_t count = 10;
    std::string_view pattern;
    std::string_view type;
    bool has_pattern = false;
    bool has_type = false;
};
/// All arguments of SCAN: cursor [MATCH pattern] [COUNT count] [TYPE type].
Result<ScanOptions> parse_scan_options(Args args);

/// Behind GETEX key: PERSIST, which changes nothing, or what is refused.
Status check_getex_options(Args options);
/// Behind MEMORY USAGE key: [SAMPLES count], which changes nothing.
Status check_memory_usage_options(Args options);

}  // namespace kv
