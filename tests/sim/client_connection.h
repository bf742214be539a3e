#pragma once

/// One connection of a simulated client, which can be given up at any time: also an attempt to
/// connect that the kernel repeats for minutes ends by itself later.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "io/event.h"
#include "io/socket.h"
#include "proto/resp/resp_client.h"

namespace kv::sim {

/// Which of `servers` an error like "MOVED 3999 10.0.0.2:6379" names. Nothing: none of them.
std::optional<std::size_t> moved_to(std::string_view error, std::span<const io::Endpoint> servers);

class ClientConnection final : private io::Stream::Handler {
public:
    /// `wake` is set at each change, until abandon().
    ClientConnection(io::Reactor& reactor, io::Endpoint server, io::Event& wake);

    /// Its life: holds `self` until nothing is in flight.
    static io::Task<void> live(std::shared_ptr<ClientConnection> self);
    /// Once connected, and when what was sent before has left.
    void send(std::string request);
    /// Before all else: the client knows Redis clusters. (It wants old values no more, either.)
    void say_topology() {
        oks_left_ = 2;
        send("READONLY\r\nREADWRITE\r\n");
    }
    /// Several requests may be under way: that more comes behind a reply is right.
    void expect_many() noexcept { many_ = true; }
    /// Not connected yet: nothing of what was given to send() has left. After abandon() it never
    /// will.
    bool unsent() const noexcept { return stream_ == nullptr; }
    /// A whole reply has come. It stays until next().
    bool has_reply() const noexcept { return has_reply_; }
    std::span<const resp::Node> reply() const noexcept { return decoder_.nodes(); }
    void next();
    /// Nothing more will come.
    bool broken() const noexcept { return broken_; }
    const std::string& problem() const noexcept { return problem_; }
    void abandon() noexcept;
    /// The process is dead, or about to be.
    void forget() noexcept { wake_ = nullptr; }

private:
    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override;
    void send_rest() noexcept;
    void decode();
    void tell() noexcept;

    io::Reactor& reactor_;
    io::Endpoint server_;
    io::Event* wake_;  ///< null: abandoned
    io::Event changed_;
    std::unique_ptr<io::Stream> stream_;
    resp::ReplyDecoder decoder_;
    std::string queued_;
    std::string sending_;
    std::size_t sent_ = 0;
    std::string received_;
    std::string later_;  ///< behind a reply that is there
    std::size_t reply_bytes_ = 0;
    std::string problem_;
    std::size_t oks_left_ = 0;  ///< replies to say_topology() that are still to come
    bool many_ = false;
    bool has_reply_ = false;
    bool broken_ = false;
    bool closed_ = false;
};

}  // namespace kv::sim
