#pragma once

/// One trial of a whole cluster: everything in it is drawn from a seed, faults befall it while
/// clients ask, and at the end each oracle has looked.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/cluster_client.h"
#include "tests/sim/pipeline_client.h"
#include "tests/support/sim_cluster.h"

namespace kv::sim {

/// What befalls the cluster.
/// `storm`: all but clocks, without a pause, and each fault soon over.
enum class Profile : std::uint8_t { calm, swarm, partitions, disks, clocks, restarts, storm };
inline constexpr Profile profile_last = Profile::storm;
std::string_view name(Profile profile) noexcept;
std::optional<Profile> parse_profile(std::string_view name) noexcept;

/// What a seed decides before the world begins. Fields may be changed before the trial is made.
struct TrialPlan {
    TrialPlan(std::uint64_t seed, Profile profile, std::uint16_t nodes = 0);

    std::uint64_t seed;
    Profile profile;
    ClusterOptions cluster;
    std::uint32_t clients = 4;
    ClusterClientPlan client;
    std::uint32_t pipelines = 0;  ///< clients that do not wait
    PipelineClientPlan pipeline;
    FaultPlan faults;
};

struct TrialResult {
    std::string oracle;  ///< empty: all is well
    std::string text;
    Instant at{};                     ///< of the world
    std::vector<std::string> events;  ///< the last ones

    // How much happened.
    Instant ended{};
    std::size_t faults = 0;
    std::size_t operations = 0;
    std::size_t keys = 0;
    std::size_t undecided = 0;
    ClusterClient::Counters clients;
    SimCluster::Counters cluster;
    std::uint64_t events_handled = 0;
    std::uint64_t trace_hash = 0;

    bool good() const noexcept { return oracle.empty(); }
};

TrialResult run_trial(const TrialPlan& plan, bool trace = false);

}  // namespace kv::sim
