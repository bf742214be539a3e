#pragma once

/// A server for tests of client programs: it listens on 127.0.0.1, cuts what arrives into requests
/// of the protocol that the connection's first byte announces, and answers what it is told to. It
/// never judges a request. Runs on a thread of its own, over io_uring.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "proto/base/result.h"

namespace kv::test {

enum class Spoken : std::uint8_t { binary, resp, text };

/// Appends the reply to `request` (all its bytes, with frame header or line end) to `out`; false
/// closes the connection after what is in `out`. Called on the server's thread.
using Answer = std::function<bool(Spoken spoken, std::string_view request, std::string& out)>;

/// The request at the front of `input`; empty when it is not complete.
std::string_view first_request(Spoken spoken, std::string_view input);

/// OK to everything, in each protocol.
bool answer_ok(Spoken spoken, std::string_view request, std::string& out);

/// Serves on the calling thread until `stop`. `on_listening` gets the port.
/// Errors: what io_uring or listening refused.
Status serve(std::uint16_t port, const Answer& answer, const std::atomic<bool>& stop,
             const std::function<void(std::uint16_t port)>& on_listening);

class FakeServer {
public:
    explicit FakeServer(Answer answer = answer_ok);
    ~FakeServer();
    std::uint16_t port() const noexcept { return port_; }

private:
    Answer answer_;
    std::atomic<bool> stop_ = false;
    std::uint16_t port_ = 0;
    std::jthread thread_;
};

}  // namespace kv::test
