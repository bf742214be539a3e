#pragma once

/// A blocking client: one connection, one batch of requests at a time, in any of the three
/// protocols. It waits by turning its reactor, so it is for programs and tests, never for a server.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bin/client/connect.h"
#include "bin/client/reply.h"
#include "io/socket.h"

namespace kv::client {

struct ClientOptions {
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    Mode mode = Mode::text;
    Duration connect_timeout = connect_timeout_default;
    Duration reply_timeout = 30s;  ///< without a byte arriving
};

class Client final : private io::Stream::Handler {
public:
    /// `reactor` outlives the client. Errors: see resolve() and connect_first().
    static Result<std::unique_ptr<Client>> connect(io::Reactor& reactor, ClientOptions options);
    Client(const Client&) = delete;
    /// Closes, turning the reactor until that is done.
    virtual ~Client();

    /// Sends `request`, the bytes of one request, and waits for its reply. Of several requests, the
    /// reply is the first's; next_reply() has the others.
    /// Errors: `closed`, the server ended the connection: whether it carried out the request is
    /// unknown; `io`, no reply in time; `corrupt`, the reply is not of this protocol. After each
    /// the client is of no more use.
    Result<Reply> call(std::string_view request);
    /// The same for a command given as words.
    Result<Reply> call(std::span<const std::string_view> words);
    /// Waits for the reply to the next of the requests that call() sent. Errors: those of call().
    Result<Reply> next_reply();
    /// What the server sent beside its replies (RESP3) since the last look; of more than
    /// pushes_max the oldest are dropped.
    std::vector<Reply> take_pushes() { return std::exchange(pushes_, {}); }
    static constexpr std::size_t pushes_max = 1000;

    /// Whether the server has ended the connection, as far as is known by now.
    bool ended();

    Mode mode() const noexcept { return options_.mode; }
    /// For the next request, when it is an extended frame.
    std::uint64_t next_request_id() noexcept { return ++request_id_; }
    const io::Endpoint& endpoint() const noexcept { return endpoint_; }

private:
    Client(io::Reactor& reactor, ClientOptions options, const Connected& connected);
    void keep(Reply push);
    Error ended_error() const;
    Error silence_error() const;

    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override { closed_ = true; }

    io::Reactor& reactor_;
    ClientOptions options_;
    io::Endpoint endpoint_;
    io::Stream stream_;
    ReplyReader reader_;
    std::string sending_;
    std::string_view unsent_;
    std::vector<Reply> pushes_;
    std::uint64_t request_id_ = 0;
    bool heard_ = false;  ///< bytes arrived since the last look
    bool ended_ = false;
    std::int32_t end_error_ = 0;
    bool closed_ = false;
};

}  // namespace kv::client
