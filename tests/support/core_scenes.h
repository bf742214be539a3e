#pragma once

/// Plays of several cores, on any backend. Each is run on the first core of a node whose other
/// cores turn, too, and leaves nothing behind. Where no stream is involved, no timer is: a wake-up
/// that gets lost stops the play for good.

#include "io/endpoint.h"
#include "io/reactor.h"

namespace kv::io::scenes {

/// Calls of every form from this core to each core, itself among them, and back.
Task<void> calls_scene(Reactor& home);

/// One message runs around all cores, `hops` times from one to the next.
Task<void> relay_scene(Reactor& home, std::uint32_t hops);

/// Each core sends so many messages to each other one, as fast as the rings take them; all are
/// answered, in order.
Task<void> flood_scene(Reactor& home, std::uint32_t messages);

/// Connections accepted on this core are served by all cores in turn, for clients on all cores.
Task<void> hand_over_scene(Reactor& home, Endpoint address, std::uint32_t clients,
                           std::size_t bytes);

/// At most one doorbell was rung for each sleep, and nothing was lost. Only when nothing is under
/// way; from the thread of `home`.
Task<void> expect_quiet_cores(Reactor& home);

}  // namespace kv::io::scenes
