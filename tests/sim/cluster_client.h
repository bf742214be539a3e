#pragma once

/// A client of a cluster on a simulated machine: one request at a time, on a connection to each
/// node that it talks to. Every other client says on each connection that it knows Redis clusters,
/// and follows MOVED; the others are plain: nodes ask the leaders in their place, and they must
/// never be sent away. It goes elsewhere when a node does not answer or cannot, and enters
/// everything into a History. What it was told nothing about stays unknown, and is never sent
/// again: the next request has a new, unique value.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/endpoint.h"
#include "io/event.h"
#include "io/reactor.h"
#include "proto/base/prng.h"
#include "proto/resp/resp_client.h"
#include "tests/support/history.h"

namespace kv::sim {

class ClientConnection;

struct ClusterClientPlan {
    std::uint32_t client = 0;
    std::size_t keys = 16;
    std::uint32_t hot_slots = 0;  ///< whose keys it asks for, too (pipeline_client.h)
    std::size_t value_bytes_max = 300;
    Duration pause_max = 100ms;  ///< between requests
    Duration timeout = 2s;       ///< of one request, redirects included
};

/// Outlives its tasks: destroyed once ended(), or when its process is dead.
class ClusterClient {
public:
    /// What the client was told: the put of a unique value is done.
    using OnPut = std::function<void(std::string_view key, std::string_view value)>;

    /// `now`: one clock for all clients.
    ClusterClient(io::Reactor& reactor, std::vector<io::Endpoint> servers, test::History& history,
                  std::function<std::int64_t()> now, ClusterClientPlan plan, std::uint64_t seed,
                  OnPut on_put = {});
    ClusterClient(const ClusterClient&) = delete;
    ~ClusterClient();

    /// Random requests until stop().
    io::Task<void> run();
    /// Sends `words` with the key second, until a node has answered it, or `limit` has passed.
    /// Whether it was answered with what it asked for.
    io::Task<bool> ask(std::vector<std::string> words, test::OperationKind kind,
                       test::Datum argument, Duration limit);
    /// Reads each key until a node has answered.
    io::Task<bool> read_all(Duration limit);

    void stop() noexcept { stopping_ = true; }
    bool ended() const noexcept { return ended_; }

    /// What the last request that was answered brought.
    const test::Datum& answer() const noexcept { return answer_; }
    struct Counters {
        std::uint64_t requests = 0;
        std::uint64_t answered = 0;
        std::uint64_t redirects = 0;
        std::uint64_t refused = 0;  ///< with no effect: no leader, busy, loading
        std::uint64_t unknown = 0;  ///< timed out, or the connection broke
    };
    const Counters& counters() const noexcept { return counters_; }
    /// What a server must never answer; empty: nothing.
    const std::string& complaint() const noexcept { return complaint_; }

    static std::string key_name(std::uint64_t number);

private:
    enum class Outcome { done, refused, unknown, moved };

    void draw(std::vector<std::string>& words, test::OperationKind& kind, test::Datum& argument);
    io::Task<Outcome> attempt(std::size_t operation, std::string request, Instant deadline);
    /// A node that is alone knows nothing of clusters.
    bool plain() const noexcept { return plan_.client % 2 == 0 || servers_.size() == 1; }
    Outcome judge(std::size_t operation, std::span<const resp::Node> reply);
    Outcome judge_error(std::size_t operation, std::string_view text);
    void finish(std::size_t operation, test::Known known, test::Datum result);
    void drop(std::size_t server);
    io::Task<void> rest(Duration time);

    io::Reactor& reactor_;
    std::vector<io::Endpoint> servers_;
    test::History& history_;
    std::function<std::int64_t()> now_;
    ClusterClientPlan plan_;
    Prng prng_;
    OnPut on_put_;
    std::vector<std::shared_ptr<ClientConnection>> connections_;  ///< by server; null: none
    std::map<std::string, std::size_t> leaders_;                  ///< by key: who answered last
    std::string key_;                                             ///< of the request under way
    std::string value_;  ///< of the put under way; empty: no put
    io::Event wake_;
    test::Datum answer_;
    Counters counters_;
    std::string complaint_;
    std::uint64_t values_ = 0;
    bool stopping_ = false;
    bool ended_ = false;
};

}  // namespace kv::sim
