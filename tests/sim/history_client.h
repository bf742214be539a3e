#pragma once

/// A client on a simulated machine of its own: sends what a key-value client sends, pipelined over
/// few keys, and enters every operation and what it was told into a History.

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/event.h"
#include "io/socket.h"
#include "proto/base/prng.h"
#include "proto/resp/resp_client.h"
#include "tests/support/history.h"

namespace kv::sim {

struct ClientPlan {
    std::uint32_t client = 0;
    std::size_t keys = 4;
    std::size_t pipeline_max = 8;  ///< requests sent at once
    std::size_t bursts = 20;
    std::size_t value_bytes_max = 300;
    Duration pause_max = 5ms;  ///< between bursts
    bool all_commands = true;  ///< also what changes a value depending on the one before
};

class HistoryClient final : private io::Stream::Handler {
public:
    HistoryClient(io::Reactor& reactor, test::History& history, std::uint64_t seed)
        : reactor_(reactor), history_(history), prng_(seed), wake_(reactor) {}

    /// Connects to `server` and runs `plan`; ends early when the connection does.
    io::Task<void> run(io::Endpoint server, ClientPlan plan);
    /// Reads every key once, one after the other.
    io::Task<void> read_all(io::Endpoint server, ClientPlan plan);
    bool ended() const noexcept { return finished_; }
    /// Waits for no more answers: what was not answered stays unknown. It ends, but for an attempt
    /// to connect, soon.
    void give_up() noexcept;
    /// Requests whose result is known.
    std::size_t answered() const noexcept { return answered_; }
    /// What a server must never answer; empty: nothing.
    const std::string& complaint() const noexcept { return complaint_; }

private:
    /// A request, and the operations that it is: one for each of its keys.
    struct Waiting {
        std::vector<std::size_t> operations;
        bool many = false;      ///< the answer is an array with an element for each
        bool revision = false;  ///< asked for the revision
    };

    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override;

    io::Task<bool> connect(io::Endpoint server);
    io::Task<void> exchange();
    io::Task<void> close();
    void add_request(const ClientPlan& plan);
    void add_dependent(const ClientPlan& plan);
    void add_one(const ClientPlan& plan, std::span<const std::string> words,
                 test::OperationKind kind, test::Datum argument = {}, test::Datum expected = {});
    std::string value(const ClientPlan& plan);
    void add(const ClientPlan& plan, std::span<const std::string> words, test::OperationKind kind,
             std::span<const std::string> keys, std::span<const std::string> values, bool many);
    void take(std::span<const resp::Node> reply);
    void finish(std::size_t operation, const resp::Node& node, bool asked_revision);
    void send_rest() noexcept;
    std::int64_t now() const { return reactor_.now().time_since_epoch().count(); }

    io::Reactor& reactor_;
    test::History& history_;
    Prng prng_;
    io::Event wake_;
    std::unique_ptr<io::Stream> stream_;
    resp::ReplyDecoder decoder_;
    std::string sending_;
    std::size_t sent_ = 0;
    std::string received_;
    std::deque<Waiting> waiting_;
    std::string complaint_;
    std::map<std::string, std::uint64_t> revisions_;  ///< the last one told, by key
    std::uint64_t values_ = 0;
    std::size_t answered_ = 0;
    bool ended_ = false;  ///< the connection
    bool closed_ = false;
    bool finished_ = false;
};

}  // namespace kv::sim
