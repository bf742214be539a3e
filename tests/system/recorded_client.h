#pragma once

/// RecordedClient: a client of a cluster that enters into a History all that it asks and is told.
/// One request at a time, in one protocol. It goes where it is sent, asks again what was surely not
/// carried out, and never repeats a write of which nobody knows what became. Written values are
/// unique, also from one attempt to the next: what was refused and happens after all shows.

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "bin/client/reply.h"
#include "proto/base/prng.h"
#include "tests/support/history.h"
#include "tests/support/wire.h"

namespace kv::test {

class RecordedClient {
public:
    struct Plan {
        std::uint32_t number = 0;  ///< in the history
        client::Mode mode = client::Mode::resp;
        std::vector<Address> nodes;
        /// In RESP: knows Redis clusters, and says so; otherwise nodes ask the leader in its place.
        bool follows = true;
        std::size_t keys = 64;
        /// What a node has not answered by then has an unknown outcome.
        std::chrono::milliseconds timeout{1'000};
    };
    RecordedClient(Plan plan, std::uint64_t seed);

    /// One random operation: until it is answered, or its outcome is unknown.
    void step();
    /// Reads every key until it is answered.
    void read_all();

    const History& history() const noexcept { return history_; }
    /// What no correct cluster does; empty: nothing.
    const std::string& complaint() const noexcept { return complaint_; }

    struct Counters {
        std::uint64_t redirects = 0;
        std::uint64_t refused = 0;  ///< errors that say that nothing was done
        std::uint64_t unknown = 0;
        std::string first_refusal;
        std::string first_unknown;
    };
    const Counters& counters() const noexcept { return counters_; }
    /// By step() and read_all(); also while they run.
    std::uint64_t answered() const noexcept { return answered_; }
    std::chrono::steady_clock::duration longest_wait() const noexcept { return longest_wait_; }

    static std::string key_name(std::size_t number);

private:
    struct Request {
        std::vector<std::string> words;  ///< the key is the second
        OperationKind kind = OperationKind::get;
        Datum expected = {};
        bool asks_revision = false;
    };
    enum class End : std::uint8_t { answered, moved, refused, unknown, unreachable };
    struct Link {
        Wire wire;
        client::ReplyReader reader;
    };

    Request draw();
    Request draw_write(const std::string& key, bool counter);
    void renew_value(Request& request);
    void ask(Request request);
    End attempt(const Request& request);
    Link* link_to_node();
    bool greet(Link& link);
    std::string encode(const std::vector<std::string>& words);
    Operation operation_of(const Request& request) const;
    End judge(const Request& request, std::size_t operation, const client::Reply& reply);
    End judge_error(const Request& request, std::size_t operation, const client::Reply& reply);
    End end_unknown(std::string why);
    bool go_to(std::string_view address);
    void leave_node();
    void elsewhere();
    std::size_t& node_of(const std::string& key);

    Plan plan_;
    Prng prng_;
    History history_;
    std::map<std::size_t, Link> links_;           ///< by node
    std::map<std::string, std::size_t> leaders_;  ///< by key: who answered last
    std::map<std::string, std::string> seen_;     ///< by key: a value that it had
    std::map<std::string, std::uint64_t> revisions_;
    std::size_t at_ = 0;
    std::uint64_t values_ = 0;
    std::uint64_t requests_ = 0;
    Counters counters_;
    std::string complaint_;
    std::atomic<std::uint64_t> answered_ = 0;
    std::chrono::steady_clock::duration longest_wait_{};
};

}  // namespace kv::test
