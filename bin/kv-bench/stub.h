#pragma once

/// The other side when the generator's own speed is measured: a server that answers OK to every
/// request, in the protocol that a connection's first byte announces, and keeps nothing.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bin/kv-bench/reply_counter.h"
#include "proto/base/result.h"

namespace kv::bench {

struct StubOptions {
    std::uint16_t port = 0;  ///< 0: the system chooses
    int cpu = -1;            ///< pinned to it; -1: anywhere
};

/// Counts the requests in a stream, however it is cut. Trusts it: only lengths are looked at.
class RequestCounter {
public:
    /// How many requests `bytes` complete.
    std::size_t feed(std::string_view bytes);
    Wire wire() const noexcept { return wire_; }

private:
    /// Bytes of the request at the front; 0: not all of its lengths are there.
    std::size_t request_bytes(std::string_view input) const noexcept;

    bool known_ = false;
    Wire wire_ = Wire::text;
    std::string front_;     ///< of a request whose lengths are not all there
    std::size_t skip_ = 0;  ///< bytes still to come of one whose lengths are known
};

/// Serves 127.0.0.1 until `stop`. `on_listening` gets the port.
/// Errors: what io_uring or listening refused.
Status run_stub(const StubOptions& options, const std::atomic<bool>& stop,
                const std::function<void(std::uint16_t port)>& on_listening);

}  // namespace kv::bench
