#pragma once

/// The one list of errors: what went wrong, in one word for code and one sentence for people, and
/// what the client may conclude about its request.

#include <cstdint>
#include <string_view>

namespace kv {

enum class Errc : std::uint16_t {
    // Bytes that do not mean what they should.
    truncated,    ///< more bytes are needed than there are
    corrupt,      ///< a checksum, a magic number or a chain disagrees
    unsupported,  ///< a version, kind or feature that this build does not know
    // Requests.
    syntax,  ///< malformed request
    unknown_command,
    wrong_arity,
    key_size,    ///< key empty or longer than limits.key_bytes_max
    value_size,  ///< value longer than limits.value_bytes_max
    too_large,   ///< a request or a reply beyond its limit
    busy,        ///< a bounded queue is full, or descriptors are used up; not applied
    read_only,   ///< the disk is full: reads go on, writes are refused
    no_leader,
    commit_timeout,  ///< outcome unknown
    shutting_down,
    static_membership,
    // The world.
    io,  ///< the operating system refused; `detail` says what and on which file
    no_space,
    not_found,
    exists,
    locked,   ///< another process holds the data directory
    damaged,  ///< acknowledged data cannot be read back: exit code 3
    foreign,  ///< the directory belongs to another node, cluster or version: exit code 4
    config,   ///< configuration: exit code 2
    canceled,
    closed,
    // Numbers are on the wire (proto/binary): new ones come behind.
    log_full,       ///< the log has reached wal.bytes_max; nothing was applied
    not_integer,    ///< the value is not a decimal number of 64 bits
    overflow,       ///< the sum would not be one
    out_of_memory,  ///< the command may grow memory, which has reached its limit; not applied
    loading,        ///< the node reads its log and its snapshots; not applied
    no_protocol,    ///< HELLO asks for a version of the protocol that does not exist
    not_leader,     ///< another node leads the shard; not applied
    cross_slot,     ///< keys of several slots in one request of RESP to a cluster; not applied
};

/// All numbers up to it are errors.
inline constexpr Errc errc_last = Errc::cross_slot;

/// What a client may conclude from an error about the request it sent. The three are never mixed.
enum class Outcome : std::uint8_t { not_applied = 0, unknown = 1, applied = 2 };

/// Stable lower-case name for logs and tests ("commit_timeout").
std::string_view name(Errc code) noexcept;
/// One sentence without a full stop, as clients read it.
std::string_view sentence(Errc code) noexcept;
Outcome outcome(Errc code) noexcept;

}  // namespace kv
