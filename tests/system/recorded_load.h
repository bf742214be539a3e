#pragma once

/// RecordedLoad: many RecordedClients of a cluster, in all protocols, each on a thread. What they
/// were told must be linearizable.

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/system/cluster.h"
#include "tests/system/recorded_client.h"

namespace kv::test {

/// KV_TEST_SEED, or one from the clock; printed with what repeats it.
std::uint64_t chosen_seed(std::string_view test);

class RecordedLoad {
public:
    static constexpr std::size_t clients = 18;  ///< six of each protocol

    enum class Resp : std::uint8_t {
        follows,  ///< all go where they are sent
        mixed,    ///< half of them take the cluster for one server
    };
    /// The threads begin at once, in the network of the caller.
    RecordedLoad(const Cluster& cluster, std::uint64_t seed, Resp resp = Resp::mixed);
    RecordedLoad(const RecordedLoad&) = delete;
    ~RecordedLoad() { stop(); }

    /// Waits until `count` more operations are answered. False, and a failed test: not in time, or
    /// complained of.
    bool goes_on(std::uint64_t count);
    /// Ends the threads.
    void stop();

    struct Sum {
        std::uint64_t answered = 0;
        std::uint64_t redirects = 0;
        std::uint64_t refused = 0;
        std::uint64_t unknown = 0;
        std::string first_refusal;
        std::string first_unknown;
        std::chrono::milliseconds longest_wait{};
    };
    /// After stop().
    Sum sum() const;
    /// Of all clients. After stop().
    History history() const;
    /// After stop(): reads every key, which shows that nothing is missing, and expects that all of
    /// it can be true, that no client complains, and `answered` operations at least, of which less
    /// than one in a hundred has an unknown outcome.
    void expect_linearizable(std::uint64_t answered);

private:
    std::uint64_t answered() const;

    std::atomic<bool> stopping_ = false;
    std::atomic<bool> complaining_ = false;
    std::vector<std::unique_ptr<RecordedClient>> clients_;
    std::vector<std::jthread> threads_;
};

}  // namespace kv::test
