#include "engine/node/config_check.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "engine/node/config_value.h"
#include "engine/node/cpu_list.h"

namespace kv {

namespace {

constexpr std::int64_t key_bytes_max = 65'535;
/// Room that a shard's term, vote and snapshot take in the first batch of each WAL segment.
constexpr std::size_t hard_state_room_bytes = 96;
/// A request carries its longest key and some framing beside its value.
constexpr std::int64_t request_overhead_bytes = key_bytes_max + 1024;

/// Fewer, and a few late heartbeats on a busy machine are an election.
constexpr int heartbeats_in_election = 4;

constexpr std::int64_t bytes(std::size_t size) {
    return static_cast<std::int64_t>(size);
}

void check_cpus(const Config::Reactor& reactor, std::vector<ConfigProblem>& problems) {
    if (reactor.cpus == "auto" || reactor.cpus == "none") return;
    const auto cpus = parse_cpu_list(reactor.cpus);
    if (!cpus) {
        problems.push_back(
            {"reactor.cpus",
             fmt::format("reactor.cpus: {}; expected \"auto\", \"none\" or a list like \"0-3,6\"",
                         cpus.error().detail)});
    } else if (reactor.cores > cpus->size()) {
        problems.push_back(
            {"reactor.cpus", fmt::format("reactor.cpus: {} CPUs for reactor.cores = {}; expected "
                                         "at least as many",
                                         cpus->size(), reactor.cores)});
    }
}

}  // namespace

std::vector<ConfigProblem> problems_of(const Config& config) {
    std::vector<ConfigProblem> problems;
    const auto size = [](std::size_t value) {
        return with_unit(static_cast<std::int64_t>(value), ConfigKind::bytes);
    };
    const auto duration = [](Duration value) {
        return with_unit(value.count(), ConfigKind::duration);
    };
    if (config.reads == ReadMode::lease)
        problems.push_back({"reads",
                            "reads: \"lease\" is not available yet; expected "
                            "\"linearizable\" or \"local\""});
    if (config.log.format != LogFormat::logfmt)
        problems.push_back(
            {"log.format", "log.format: \"json\" is not available yet; expected \"logfmt\""});
    const std::size_t quarter = config.wal.segment_bytes / 4;
    if (config.limits.value_bytes_max > quarter)
        problems.push_back(
            {"limits.value_bytes_max",
             fmt::format("limits.value_bytes_max: {} is more than a quarter of wal.segment_bytes "
                         "({}); expected at most {}",
                         size(config.limits.value_bytes_max), size(config.wal.segment_bytes),
                         size(quarter))});
    if (config.wal.batch_bytes_max > quarter)
        problems.push_back(
            {"wal.batch_bytes_max",
             fmt::format("wal.batch_bytes_max: {} is more than a quarter of wal.segment_bytes "
                         "({}); expected at most {}",
                         size(config.wal.batch_bytes_max), size(config.wal.segment_bytes),
                         size(quarter))});
    // A segment begins with the hard states of all shards, in one batch.
    const std::size_t hard_states = config.cluster.shards * hard_state_room_bytes;
    if (config.wal.batch_bytes_max < hard_states)
        problems.push_back(
            {"wal.batch_bytes_max",
             fmt::format("wal.batch_bytes_max: {} does not hold what {} shards write together; "
                         "expected at least {}",
                         size(config.wal.batch_bytes_max), config.cluster.shards,
                         size(hard_states))});
    if (config.wal.bytes_max != 0 && config.wal.bytes_max / 4 < config.wal.segment_bytes)
        problems.push_back(
            {"wal.bytes_max",
             fmt::format("wal.bytes_max: {} does not hold four segments of {}; expected 0 or more",
                         size(config.wal.bytes_max), size(config.wal.segment_bytes))});
    const std::int64_t request_min = bytes(config.limits.value_bytes_max) + request_overhead_bytes;
    if (bytes(config.limits.request_bytes_max) < request_min)
        problems.push_back(
            {"limits.request_bytes_max",
             fmt::format("limits.request_bytes_max: {} does not hold the longest key and a value "
                         "of limits.value_bytes_max ({}); expected at least {}",
                         size(config.limits.request_bytes_max), size(config.limits.value_bytes_max),
                         request_min)});
    if (config.raft.election_timeout < heartbeats_in_election * config.raft.heartbeat_interval)
        problems.push_back(
            {"raft.election_timeout",
             fmt::format(
                 "raft.election_timeout: {} is less than {} of raft.heartbeat_interval ({}); "
                 "expected at least {}",
                 duration(config.raft.election_timeout), heartbeats_in_election,
                 duration(config.raft.heartbeat_interval),
                 duration(heartbeats_in_election * config.raft.heartbeat_interval))});
    check_cpus(config.reactor, problems);
    check_nodes(config, problems);
    return problems;
}

void append_line(std::string& text, std::string_view line) {
    if (!text.empty()) text += '\n';
    text += line;
}

Status check_config(const Config& config) {
    std::string text;
    for (const ConfigProblem& problem : problems_of(config)) append_line(text, problem.text);
    if (text.empty()) return {};
    return fail(Errc::config, std::move(text));
}

}  // namespace kv
