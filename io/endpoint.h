#pragma once

/// A literal IP address and a port. Names are resolved in bin/, never on a reactor.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/result.h"

namespace kv::io {

struct Endpoint {
    std::array<std::uint8_t, 16> address{};  ///< network order; IPv4 in the first four bytes
    std::uint16_t port = 0;                  ///< host order
    bool v6 = false;

    bool operator==(const Endpoint&) const = default;
    bool loopback() const noexcept;
    std::string text() const;  ///< "127.0.0.1:6379", "[::1]:6379"
};

/// Errors: `config`, the address is not a literal IPv4 or IPv6 address.
Result<Endpoint> parse_endpoint(std::string_view address, std::uint16_t port);

}  // namespace kv::io
