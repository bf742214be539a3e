#include "bin/client/connect.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace kv::client {

namespace {

io::Endpoint to_endpoint(const addrinfo& found, std::uint16_t port) noexcept {
    io::Endpoint endpoint;
    endpoint.port = port;
    endpoint.v6 = found.ai_family == AF_INET6;
    if (endpoint.v6) {
        const auto& address = *reinterpret_cast<const sockaddr_in6*>(found.ai_addr);
        std::memcpy(endpoint.address.data(), &address.sin6_addr, 16);
    } else {
        const auto& address = *reinterpret_cast<const sockaddr_in*>(found.ai_addr);
        std::memcpy(endpoint.address.data(), &address.sin_addr, 4);
    }
    return endpoint;
}

/// One attempt, which a timeout can end.
class ConnectOp : public io::Op {
public:
    explicit ConnectOp(io::Endpoint endpoint) noexcept : Op(&completed), endpoint_(endpoint) {
        io::OpRequest request;
        request.code = io::OpCode::connect;
        request.endpoint = &endpoint_;
        set_request(request);
    }
    std::int32_t result() const noexcept { return result_; }

private:
    static void completed(Op& op, std::int32_t result, io::Completion) noexcept {
        static_cast<ConnectOp&>(op).result_ = result;
    }
    io::Endpoint endpoint_;
    std::int32_t result_ = 0;
};

/// The descriptor, or a negated errno.
std::int32_t connect_one(io::Reactor& reactor, io::Endpoint endpoint, Duration timeout) {
    ConnectOp op(endpoint);
    const Instant deadline = reactor.backend().now() + timeout;
    reactor.backend().submit(op);
    bool timed_out = false;
    while (op.in_flight()) {
        const Duration left = deadline - reactor.backend().now();
        if (left <= Duration::zero() && !timed_out) {
            timed_out = true;
            reactor.backend().cancel(op);
        }
        reactor.turn(timed_out ? Duration(1s) : left);
    }
    return timed_out && op.result() == -ECANCELED ? -ETIMEDOUT : op.result();
}

}  // namespace

std::string_view advice(int error) noexcept {
    switch (error) {
        case ECONNREFUSED:
            return "Nothing listens there: start kv-server, or check --host and --port.";
        case ETIMEDOUT:
        case EHOSTUNREACH:
        case ENETUNREACH: return "Check --host, the network and its firewalls.";
        case EMFILE:
        case ENFILE: return "Raise the limit of open files (ulimit -n).";
        case EADDRNOTAVAIL: return "No local port is free: use fewer connections, or wait.";
        case ECONNRESET:
        case EPIPE: return "The server closed the connection: its log says why.";
        default: return {};
    }
}

Result<std::vector<io::Endpoint>> resolve(const std::string& host, std::uint16_t port) {
    std::string name = host;
    if (name.size() > 2 && name.front() == '[' && name.back() == ']') {
        name = name.substr(1, name.size() - 2);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(name.c_str(), nullptr, &hints, &found);
    if (error != 0) {
        const std::string reason = error == EAI_SYSTEM ? std::generic_category().message(errno)
                                                       : std::string(gai_strerror(error));
        return fail(Errc::not_found,
                    fmt::format("cannot connect to {}:{}: {}. Check --host.", host, port, reason));
    }
    std::vector<io::Endpoint> endpoints;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
        const io::Endpoint endpoint = to_endpoint(*each, port);
        if (std::ranges::find(endpoints, endpoint) == endpoints.end()) {
            endpoints.push_back(endpoint);
        }
    }
    freeaddrinfo(found);
    if (endpoints.empty()) {
        return fail(Errc::not_found,
                    fmt::format("cannot connect to {}:{}: the name has no IP address. Check "
                                "--host.",
                                host, port));
    }
    return endpoints;
}

Result<Connected> connect_first(io::Reactor& reactor, const std::vector<io::Endpoint>& endpoints,
                                Duration timeout) {
    KV_ASSERT(!endpoints.empty());
    std::int32_t result = 0;
    for (const io::Endpoint& endpoint : endpoints) {
        result = connect_one(reactor, endpoint, timeout);
        if (result >= 0) return Connected{result, endpoint};
    }
    std::string text = fmt::format("cannot connect to {}: {}.", endpoints.back().text(),
                                   std::generic_category().message(-result));
    if (const std::string_view hint = advice(-result); !hint.empty()) {
        text.append(" ").append(hint);
    }
    return fail(Errc::io, std::move(text));
}

void pause(io::Reactor& reactor, Duration duration) {
    const Instant until = reactor.backend().now() + duration;
    for (Instant now = reactor.backend().now(); now < until; now = reactor.backend().now()) {
        reactor.turn(until - now);
    }
}

}  // namespace kv::client
