#pragma once

/// A client that does not wait: it sends request after request on one connection, whether the
/// earlier ones were answered or not, mostly reads, all for a few keys of one slot. It stays with
/// the node that it knows until that sends it away or has been silent for long: so a node that has
/// been paused or cut off finds questions that were asked meanwhile, and whoever answers them from
/// what it held for true before is found out. A MGET is one read of each of its keys, a counter
/// shows an increment that was applied twice, and a reply out of its turn is of a wrong kind. Of
/// three such clients one is plain, one says at once that it knows Redis clusters, and one says so
/// in the middle of its requests, and takes it back.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/endpoint.h"
#include "io/event.h"
#include "io/reactor.h"
#include "proto/base/prng.h"
#include "tests/sim/client_connection.h"
#include "tests/support/history.h"

namespace kv::sim {

/// A key of those that everybody asks for: those of one `slot` are in one.
std::string hot_key(std::uint32_t slot, char kind, std::uint64_t number);
inline constexpr std::uint64_t hot_values = 2;  ///< of each slot, of kind 'v'

struct PipelineClientPlan {
    std::uint32_t client = 0;
    std::uint32_t slot = 0;     ///< which keys: the same number, the same slot
    Duration pause_max = 50ms;  ///< between requests
    Duration patience = 4s;     ///< with a node that says nothing
};

/// Outlives its tasks: destroyed once ended(), or when its process is dead.
class PipelineClient {
public:
    PipelineClient(io::Reactor& reactor, std::vector<io::Endpoint> servers, test::History& history,
                   std::function<std::int64_t()> now, PipelineClientPlan plan, std::uint64_t seed);
    PipelineClient(const PipelineClient&) = delete;
    ~PipelineClient();

    /// Random requests until stop(). Both are to run.
    io::Task<void> send();
    io::Task<void> receive();
    void stop() noexcept {
        stopping_ = true;
        wake_.set();
    }
    bool ended() const noexcept { return stopping_ && tasks_ == 0; }
    /// What a server must never answer; empty: nothing.
    const std::string& complaint() const noexcept { return complaint_; }
    std::uint64_t answered() const noexcept { return answered_; }

private:
    static constexpr std::size_t waiting_max = 200;
    static constexpr std::uint64_t burst_max = 3;
    static constexpr int refusals_max = 20;  // in a row

    /// A request that was not answered yet.
    struct Asked {
        test::OperationKind kind;
        std::vector<std::size_t> operations;  ///< a MGET has several, a change of mind none
        bool many = false;
        Instant at{};
    };
    /// Whether it may be sent away: it has said that it knows where to go.
    enum class Mind { plain, knows, changes };
    Mind mind() const noexcept {
        return servers_.size() == 1 ? Mind::plain : static_cast<Mind>(plan_.client % 3);
    }
    void ask();
    void change_mind();
    void drain();
    void judge(const Asked& asked, std::span<const resp::Node> reply);
    void judge_error(const Asked& asked, std::string_view text);
    void finish(const Asked& asked, std::size_t number, test::Datum result);
    void leave();
    std::string key(char kind, std::uint64_t number) const {
        return hot_key(plan_.slot, kind, number);
    }
    std::size_t any_server() { return prng_.below(servers_.size()); }

    io::Reactor& reactor_;
    std::vector<io::Endpoint> servers_;
    test::History& history_;
    std::function<std::int64_t()> now_;
    const PipelineClientPlan plan_;
    Prng prng_;
    io::Event wake_;
    std::shared_ptr<ClientConnection> connection_;
    std::deque<Asked> asked_;
    std::size_t server_;
    std::size_t next_;  ///< where to go when all of asked_ is answered
    int refusals_ = 0;
    int tasks_ = 0;
    std::uint64_t values_ = 0;
    std::uint64_t answered_ = 0;
    std::string complaint_;
    bool knows_ = false;  ///< what a client that changes its mind said last
    bool stopping_ = false;
};

}  // namespace kv::sim
