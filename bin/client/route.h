#pragma once

/// Where in a cluster a request belongs, and what to do with the answer. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "bin/client/reply.h"
#include "proto/base/ids.h"

namespace kv::client {

/// What the bytes of a request tell about it.
struct Route {
    std::optional<SlotId> slot;  ///< of its key, or of all of its keys
    bool reads = false;          ///< it changes nothing, and may be asked twice

    bool operator==(const Route&) const = default;
};

/// Of one whole request in `mode`. One that this build cannot read, or that has keys of several
/// slots, has no slot; any node takes it.
Route route_of(Mode mode, std::string_view request);

enum class Step : std::uint8_t {
    done,    ///< nothing helps any further: the reply is the answer
    follow,  ///< nothing was applied; ask the node at `address`
    retry,   ///< nothing was applied, or nothing is to be applied; ask again in a moment
    unknown  ///< nobody can say what became of it: never to be sent again
};

struct Next {
    Step step = Step::done;
    std::string address;  ///< host:port

    bool operator==(const Next&) const = default;
};

/// Behind `reply`:
///
///     REDIRECT, status 0x20, MOVED                   follow
///     no leader, busy, shutting down, loading        retry; a write over several slots may have
///                                                    been applied in part: done
///     anything else                                  done
///
/// None of them is `unknown`: that is an answer.
Next next_step(Mode mode, const Route& route, const Reply& reply);

/// Behind a connection that was lost before the reply. `sent`: the server may have got it.
Step step_after_loss(const Route& route, bool sent) noexcept;

/// What stands for the reply that such a loss has taken; `how` it came.
Reply lost_reply(const Route& route, bool sent, std::string_view how);

/// Whether `reply` says that nobody knows if a write was carried out.
bool outcome_unknown(const Reply& reply) noexcept;

struct Address {
    std::string host;  ///< without brackets
    std::uint16_t port = 0;

    /// "host:port", an IPv6 address in brackets.
    std::string text() const;
    bool operator==(const Address&) const = default;
};
/// Of "host:port"; an IPv6 address may be without brackets. Nothing: it is none.
std::optional<Address> parse_address(std::string_view text);

}  // namespace kv::client
