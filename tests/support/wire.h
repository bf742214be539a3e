#pragma once

/// A client of bytes: a plain blocking socket. Every wait has a deadline; what it cuts short shows
/// as bytes that are missing.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/support/running_program.h"

namespace kv::test {

/// Of IPv4, in digits.
struct Address {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;

    bool operator==(const Address&) const = default;
};

class Wire {
public:
    /// connected(): whether somebody listened there, and answered in time.
    explicit Wire(const Address& address, std::chrono::milliseconds at_most = patience);
    /// To 127.0.0.1.
    explicit Wire(std::uint16_t port) : Wire(Address{.port = port}) {}
    Wire(Wire&& other) noexcept;
    Wire(const Wire&) = delete;
    ~Wire();

    bool connected() const noexcept { return fd_ >= 0; }
    int fd() const noexcept { return fd_; }

    /// Sends all; false when the peer is gone or takes nothing.
    bool send(std::string_view bytes);
    /// Sends what the socket takes now; the number of bytes, 0 when it is full, -1 when it is gone.
    long send_some(std::string_view bytes);
    /// The peer sees the end of the stream; replies still arrive.
    void end_sending();

    /// Exactly `bytes` bytes, or what came before the end or the deadline.
    std::string receive(std::size_t bytes);
    /// Up to and with `end`.
    std::string receive_until(std::string_view end);
    /// Everything until the peer closes.
    std::string receive_all();
    /// Appends what is there now. False: the peer has closed.
    bool receive_some(std::string& to);
    /// Until there is something to receive, or the end. False at the deadline.
    bool wait_until(std::chrono::steady_clock::time_point deadline) const;
    std::string ask(std::string_view request, std::string_view end_of_reply = "\n");

private:
    /// False at the deadline.
    bool wait_for(short events, std::chrono::steady_clock::time_point deadline) const;
    /// Reads until done(buffer_) or the end; takes `bytes` of it.
    template <typename Done>
    void fill(Done done);
    std::string take(std::size_t bytes);

    int fd_ = -1;
    std::string buffer_;
    bool ended_ = false;
};

/// A port of loopback that was free a moment ago.
std::uint16_t unused_port();

}  // namespace kv::test
