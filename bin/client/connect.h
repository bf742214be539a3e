#pragma once

/// From what a person typed after --host to a connected descriptor. Blocks, by turning the reactor
/// until it is done: for programs that have nothing else to do, never for a server.

#include <cstdint>
#include <string>
#include <vector>

#include "io/reactor.h"

namespace kv::client {

inline constexpr Duration connect_timeout_default = 5s;

/// The addresses of `host`, a name or a literal IPv4 or IPv6 address, in the order to try them.
/// Errors: `not_found`, with a sentence for people.
Result<std::vector<io::Endpoint>> resolve(const std::string& host, std::uint16_t port);

struct Connected {
    std::int32_t fd = -1;  ///< for an io::Stream, which closes it
    io::Endpoint endpoint;
};

/// Connects to the first of `endpoints` that accepts, each within `timeout`.
/// Errors: `io`: the last address, why it failed, and what to do.
Result<Connected> connect_first(io::Reactor& reactor, const std::vector<io::Endpoint>& endpoints,
                                Duration timeout = connect_timeout_default);

/// Turns the reactor for so long.
void pause(io::Reactor& reactor, Duration duration);

/// What a person can do about an errno of a connection; empty when there is no advice.
std::string_view advice(int error) noexcept;

}  // namespace kv::client
