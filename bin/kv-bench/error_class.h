#pragma once

/// What an error means to who sent the request, whichever protocol and server it came from.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kv::bench {

enum class ErrorClass : std::uint8_t {
    redirected,       ///< another node has it: nothing was applied
    no_leader,        ///< nobody leads the shard just now: nothing was applied
    busy,             ///< not now: too much waits, or the node is loading or stops; nothing applied
    full,             ///< disk, log or memory: nothing was applied, nor will be soon
    refused,          ///< it makes no sense or is not allowed: nothing was applied
    timed_out,        ///< no reply within --timeout
    unknown_outcome,  ///< it may have been applied, or may be later
    connection_lost,
    other,
};
inline constexpr std::size_t error_classes_count = 9;

/// "no leader", "unknown outcome".
std::string_view name(ErrorClass error) noexcept;

/// `text` as it was answered, without the mark of the protocol: "MOVED 7 h:1", "ERR syntax error",
/// "REDIRECT h:1", "no leader available"; or one of kv-bench's own below.
ErrorClass classify_error(std::string_view text) noexcept;

/// Of an error that ErrorKinds would call `kind`.
ErrorClass classify_error(std::string_view kind, std::string_view text) noexcept;

/// The request had no effect, and never will.
bool not_applied(ErrorClass error) noexcept;
/// It had no effect, and may have one when it is sent again, perhaps elsewhere or later.
bool worth_repeating(ErrorClass error) noexcept;

/// Errors that no server sent.
inline constexpr std::string_view connection_lost_text = "connection lost";
inline constexpr std::string_view timed_out_text = "timeout";
inline constexpr std::string_view interrupted_text = "no reply before the interrupt";
inline constexpr std::string_view unknown_outcome_text = "outcome unknown";

}  // namespace kv::bench
