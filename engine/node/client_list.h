#pragma once

/// CLIENT LIST, INFO and KILL. One core describes its connections (Connection::info); lines and
/// filters work on the descriptions of all of them. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/command.h"
#include "proto/command_options.h"

namespace kv {

/// One connection, at one moment.
struct ClientInfo {
    std::uint64_t id = 0;
    std::string address;  ///< of the peer, "127.0.0.1:40000"
    std::string local_address;
    std::int32_t fd = 0;
    std::string name;
    std::string library;
    std::string library_version;
    std::int64_t age_s = 0;
    std::int64_t idle_s = 0;
    std::size_t input_bytes = 0;
    std::size_t output_bytes = 0;
    std::size_t waiting = 0;  ///< requests that are not answered
    Verb last = Verb::invalid;
    bool resp3 = false;
    bool no_evict = false;
    bool no_touch = false;
    bool closing = false;
};

/// The line of CLIENT LIST, with its line end.
std::string client_line(const ClientInfo& client);

/// Which connections CLIENT LIST or CLIENT KILL mean. What is not set does not matter.
struct ClientFilter {
    std::vector<std::uint64_t> ids;
    std::string address;
    std::string local_address;
    bool no_type = false;  ///< of a type that connections never have here: replica, pubsub
    bool skip_me = true;
    bool old_form = false;  ///< CLIENT KILL address

    bool matches(const ClientInfo& client, std::uint64_t asker) const;
};

/// The arguments of CLIENT LIST: [TYPE type] or [ID id...].
Result<ClientFilter> parse_client_list(Args args);
/// The arguments of CLIENT KILL: address, or pairs of ID, ADDR, LADDR, TYPE, USER, SKIPME.
Result<ClientFilter> parse_client_kill(Args args);

}  // namespace kv
