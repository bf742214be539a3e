#include "proto/base/errc.h"

#include "proto/base/assert.h"

namespace kv {

namespace {

struct Row {
    std::string_view name;
    std::string_view sentence;
};

Row row(Errc code) noexcept {
    switch (code) {
        case Errc::truncated: return {"truncated", "more bytes are needed"};
        case Errc::corrupt: return {"corrupt", "a checksum disagrees"};
        case Errc::unsupported: return {"unsupported", "not supported by this version"};
        case Errc::syntax: return {"syntax", "syntax error"};
        case Errc::unknown_command: return {"unknown_command", "unknown command"};
        case Errc::wrong_arity: return {"wrong_arity", "wrong number of arguments"};
        case Errc::key_size: return {"key_size", "key must have 1 to 65535 bytes"};
        case Errc::value_size: return {"value_size", "value is longer than limits.value_bytes_max"};
        case Errc::too_large: return {"too_large", "request or reply is beyond its limit"};
        case Errc::busy: return {"busy", "too many writes are waiting, try again"};
        case Errc::read_only:
            return {"read_only", "disk full: writes are refused until there is room again"};
        case Errc::no_leader: return {"no_leader", "no leader available"};
        case Errc::commit_timeout: return {"commit_timeout", "commit timed out, outcome unknown"};
        case Errc::shutting_down: return {"shutting_down", "the server is shutting down"};
        case Errc::static_membership:
            return {"static_membership", "config change failed (membership is static)"};
        case Errc::io: return {"io", "input or output failed"};
        case Errc::no_space: return {"no_space", "no space left on the device"};
        case Errc::not_found: return {"not_found", "not found"};
        case Errc::exists: return {"exists", "exists already"};
        case Errc::locked: return {"locked", "locked by another process"};
        case Errc::damaged: return {"damaged", "acknowledged data is damaged"};
        case Errc::foreign: return {"foreign", "the data belongs to another node or version"};
        case Errc::config: return {"config", "the configuration is wrong"};
        case Errc::canceled: return {"canceled", "canceled"};
        case Errc::closed: return {"closed", "closed by the peer"};
        case Errc::log_full:
            return {"log_full", "the log has reached wal.bytes_max, writes are refused"};
        case Errc::not_integer: return {"not_integer", "value is not an integer or out of range"};
        case Errc::overflow: return {"overflow", "increment or decrement would overflow"};
        case Errc::out_of_memory:
            return {"out_of_memory", "command not allowed when used memory > 'maxmemory'."};
        case Errc::loading: return {"loading", "the node is loading its data"};
        case Errc::no_protocol: return {"no_protocol", "unsupported protocol version"};
        case Errc::not_leader: return {"not_leader", "another node leads this shard"};
        case Errc::cross_slot: return {"cross_slot", "Keys in request don't hash to the same slot"};
    }
    KV_UNREACHABLE("Errc {}", static_cast<unsigned>(code));
}

}  // namespace

std::string_view name(Errc code) noexcept {
    return row(code).name;
}
std::string_view sentence(Errc code) noexcept {
    return row(code).sentence;
}

Outcome outcome(Errc code) noexcept {
    return code == Errc::commit_timeout ? Outcome::unknown : Outcome::not_applied;
}

}  // namespace kv
