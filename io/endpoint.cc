#include "io/endpoint.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

namespace kv::io {

bool Endpoint::loopback() const noexcept {
    if (!v6) return address[0] == 127;
    return std::all_of(address.begin(), address.end() - 1, [](auto b) { return b == 0; }) &&
           address[15] == 1;
}

std::string Endpoint::text() const {
    char buffer[INET6_ADDRSTRLEN] = {};
    inet_ntop(v6 ? AF_INET6 : AF_INET, address.data(), buffer, sizeof buffer);
    return v6 ? fmt::format("[{}]:{}", buffer, port) : fmt::format("{}:{}", buffer, port);
}

Result<Endpoint> parse_endpoint(std::string_view address, std::uint16_t port) {
    Endpoint endpoint;
    endpoint.port = port;
    const std::string text(address);
    if (inet_pton(AF_INET, text.c_str(), endpoint.address.data()) == 1) return endpoint;
    endpoint.v6 = true;
    if (inet_pton(AF_INET6, text.c_str(), endpoint.address.data()) == 1) return endpoint;
    return fail(Errc::config, fmt::format("\"{}\" is not an IPv4 or IPv6 address", address));
}

}  // namespace kv::io
