#pragma once

/// Writers that know what they were promised. Each owns a set of keys and one connection, over
/// which it pipelines SET and DEL. Per key it remembers the outcomes that are possible after a
/// crash: the last acknowledged one, and those of all writes sent later. A check against the
/// restarted server accepts those values and no others.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/prng.h"
#include "tests/support/wire.h"

namespace kv::test {

enum class Speech : std::uint8_t { binary, resp, text };

class Writer {
public:
    Writer(std::size_t number, Speech speech, std::uint64_t seed);

    void connect(std::uint16_t port);
    bool connected() const noexcept { return wire_.has_value(); }
    int fd() const noexcept { return wire_->fd(); }
    /// Sends what the socket takes, with at most `depth` writes unanswered.
    void send(std::size_t depth);
    /// Takes the replies that are there. False: the server is gone.
    bool receive();
    /// What is still on its way is taken; what was not answered never will be.
    void server_is_gone();

    std::uint64_t acknowledged() const noexcept { return acknowledged_; }
    std::size_t unanswered() const noexcept { return in_flight_.size(); }
    /// Replies that no correct server gives.
    const std::string& complaint() const noexcept { return complaint_; }

    /// Reads every key through a connection of its own and settles on what is there. Returns what
    /// is wrong; empty: nothing.
    std::string verify(std::uint16_t port);
    std::size_t keys_present() const;

private:
    /// 0: absent; else the number of the SET that wrote the value.
    using Value = std::uint64_t;
    struct Key {
        std::deque<Value> possible{0};  ///< the first is acknowledged, the others were sent after
    };
    struct InFlight {
        std::size_t key;
        bool del;
        bool deletes_something;
    };
    static constexpr std::size_t keys = 400;

    void make_request();
    std::string key_text(std::size_t key) const;
    std::string value_text(Value value) const;
    /// Takes one reply from the front of replies_ into `reply`; false: it is not whole.
    bool take_reply(std::string& reply);
    void acknowledge(const std::string& reply);

    std::size_t number_;
    Speech speech_;
    Prng prng_;
    std::vector<Key> keys_{keys};
    std::uint64_t sets_ = 0;
    std::uint64_t acknowledged_ = 0;
    std::optional<Wire> wire_;
    std::string unsent_;
    std::string replies_;
    std::deque<InFlight> in_flight_;
    std::string complaint_;
};

}  // namespace kv::test
