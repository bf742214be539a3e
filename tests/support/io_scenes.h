#pragma once

/// Small plays for files and streams, written against io/file.h and io/socket.h alone: they run on
/// every backend and expect the same of each. Failures are reported through GoogleTest.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "io/event.h"
#include "io/file.h"
#include "io/reactor.h"
#include "io/socket.h"

namespace kv::io::scenes {

/// `bytes` bytes that follow from `seed`.
std::string pattern(std::size_t bytes, std::uint64_t seed);

/// Creates, writes, reads, renames, locks and removes files in `directory`, which may exist, and
/// leaves nothing behind in it. Its parent exists.
Task<void> file_scene(Reactor& reactor, std::string directory);
/// The same idea for direct input and output, on a file system that has it.
Task<void> direct_scene(Reactor& reactor, std::string directory);

/// Sends back what it receives, on any number of connections.
class EchoServer final : private Listener::Handler {
public:
    explicit EchoServer(Reactor& reactor) noexcept;
    ~EchoServer();

    Task<Result<Endpoint>> listen(Endpoint endpoint);
    /// Where accepted descriptors go instead of staying here.
    void hand_over_to(std::function<void(std::int32_t fd)> taker) { taker_ = std::move(taker); }
    /// Serves the connected descriptor `fd`.
    void adopt(std::int32_t fd);
    /// Stops accepting, closes what is open, waits for the end of all of it.
    Task<void> close();
    std::size_t sessions() const noexcept { return sessions_.size(); }
    std::uint64_t accepted() const noexcept { return accepted_; }

private:
    struct Session;
    void on_accepted(std::int32_t fd) noexcept override;
    void on_accept_error(std::int32_t error) noexcept override;
    void on_listener_closed() noexcept override;
    void forget(std::uint64_t session);

    Reactor& reactor_;
    Listener listener_;
    Event gone_;
    std::function<void(std::int32_t fd)> taker_;
    std::map<std::uint64_t, std::unique_ptr<Session>> sessions_;
    std::uint64_t accepted_ = 0;
    bool listener_closed_ = false;
};

struct EchoResult {
    std::uint64_t received = 0;  ///< bytes that came back right
    std::int32_t error = 0;      ///< errno of the stream's end before all was back
    bool connected = false;
    bool wrong = false;  ///< bytes that were not sent
};
/// Connects, sends `bytes` bytes that follow from `seed` in pieces, waits until they are all back,
/// and closes. `result` outlives the task.
Task<void> echo_client(Reactor& reactor, Endpoint server, std::size_t bytes, std::uint64_t seed,
                       EchoResult* result);

/// A client that ends its half behind what it sends still gets all of it back, and then the end.
Task<void> half_close_scene(Reactor& reactor, Endpoint address, std::size_t bytes);

/// A server and `clients` clients at `address`, all on `reactor`.
Task<void> echo_scene(Reactor& reactor, Endpoint address, std::uint32_t clients, std::size_t bytes);

}  // namespace kv::io::scenes
