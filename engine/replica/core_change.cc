#include "engine/replica/core_change.h"

#include <algorithm>

#include "engine/replica/placement.h"
#include "proto/base/mutant.h"

namespace kv {

namespace {

wal::ReshardOptions reshard_options(const wal::WalOptions& log,
                                    const std::vector<SegmentSeq>& segments, std::uint16_t shards,
                                    std::uint16_t cores) {
    wal::ReshardOptions options;
    for (std::size_t i = mutant(Mutant::m62_lost_log) ? 1 : 0; i < segments.size(); ++i) {
        wal::WalOptions from = log;
        from.core = static_cast<std::uint32_t>(i);
        from.known_segment = segments[i];
        options.from.push_back(std::move(from));
    }
    for (std::uint32_t i = 0; i < cores; ++i) {
        wal::WalOptions to = log;
        to.core = i;
        ++to.generation;
        to.known_segment = SegmentSeq(0);
        to.epoch = Epoch(log.epoch.value() - 1);  // this life goes on behind it
        to.bytes_max = 0;                         // what is there must be taken
        options.to.push_back(std::move(to));
    }
    const Placement placement(shards, cores);
    options.core_of = [placement](GroupId group) -> std::optional<std::uint32_t> {
        ShardId shard;
        if (!placement.shard_of(group, shard)) return std::nullopt;
        return placement.core_of(shard).value();
    };
    return options;
}

}  // namespace

CoreChange::CoreChange(io::Reactor& reactor, const wal::WalOptions& log,
                       const std::vector<SegmentSeq>& segments, std::uint16_t shards,
                       std::uint16_t cores)
    : resharder_(reactor, reshard_options(log, segments, shards, cores)) {}

io::Task<Result<wal::Resharded>> CoreChange::run() {
    co_return co_await resharder_.run();
}

io::Task<Status> remove_other_generations(io::Reactor& reactor, std::string directory,
                                          std::uint64_t generation, bool known) {
    KV_CO_TRY(const std::vector<std::string> names,
              co_await io::list_directory(reactor, directory));
    const bool any = std::ranges::any_of(names, [&](const std::string& name) {
        const auto file = wal::SegmentFile::parse(name);
        return file && file->generation == generation;
    });
    if (known && !any) co_return Status{};
    co_return co_await wal::remove_generations(reactor, directory, generation);
}

}  // namespace kv
