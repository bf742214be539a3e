/// Snapshots, the part that loads them when a node starts.

#include <fmt/format.h>

#include <algorithm>

#include "engine/replica/snapshots.h"
#include "engine/snapshot/reader.h"
#include "io/file.h"
#include "proto/base/log.h"
#include "proto/base/mutant.h"

namespace kv {

namespace {

constexpr std::size_t mark_bytes = 24;

}  // namespace

/// Puts what a file holds into a replica.
class Snapshots::Loader final : public snapshot::Sink {
public:
    Loader(Replica& replica, std::string slots) noexcept
        : replica_(replica), slots_(std::move(slots)) {}

    Status on_head(const snapshot::Head& head) override {
        head_ = head;
        loader_.emplace(replica_.mutable_store(), head.revision);
        return {};
    }
    Status on_slots(Bytes payload) override {
        if (as_text(payload) == slots_) return {};
        return fail(Errc::foreign,
                    "its slots are not those of the shard: the number of shards is "
                    "another one");
    }
    Status on_configuration(Bytes payload) override {
        KV_TRY(configuration_, decode_configuration(payload));
        return {};
    }
    Status on_entries(Bytes bytes) override { return loader_->feed(bytes); }
    Status on_end() override {
        KV_CHECK(loader_->finish(head_.keys));
        const Index index = mutant(Mutant::m48_off_by_one) ? head_.index.next() : head_.index;
        replica_.group().restore({head_.term, index}, head_.time_ms, configuration_);
        return {};
    }

private:
    Replica& replica_;
    const std::string slots_;
    snapshot::Head head_;
    Configuration configuration_;
    std::optional<StoreLoader> loader_;
};

/// Section `slots` of the snapshots of `shard`.
std::string Snapshots::slots_of(ShardId shard) const {
    std::string out;
    const auto append = [&](std::uint16_t slot) {
        char bytes[2];
        store_le<std::uint16_t>(bytes, slot);
        out.append(bytes, sizeof bytes);
    };
    for (std::uint16_t slot = 0; slot < slot_count; ++slot) {
        if (placement_.shard_of(SlotId(slot)) != shard) continue;
        append(slot);
        while (slot + 1 < slot_count &&
               placement_.shard_of(SlotId(static_cast<std::uint16_t>(slot + 1))) == shard) {
            ++slot;
        }
        append(slot);
    }
    return out;
}

io::Task<Status> Snapshots::look_at_directory() {
    // What a crash left in the page cache must not be believed before it is on the disk.
    KV_CO_CHECK(co_await io::sync_directory(reactor_, options_.directory));
    KV_CO_TRY(const std::vector<std::string> names,
              co_await io::list_directory(reactor_, options_.directory));
    for (const std::string& name : names) {
        std::string_view base = name;
        const bool temporary = base.ends_with(snapshot::temporary_suffix);
        if (temporary) base.remove_suffix(snapshot::temporary_suffix.size());
        if (temporary && base.ends_with(snapshot::arriving_suffix)) {
            base.remove_suffix(snapshot::arriving_suffix.size());
        }
        const auto file = snapshot::SnapshotFile::parse(base);
        if (!file) {
            log::warn("a file in the snapshot directory is not mine, passing over it",
                      log::field("directory", options_.directory), log::field("file", name));
            continue;
        }
        ShardId shard;
        if (!placement_.shard_of(file->group, shard)) {
            co_return fail(
                Errc::foreign,
                fmt::format("{}/{} is of group {}, but there are {} shards", options_.directory,
                            name, file->group.value(), placement_.shards()));
        }
        if (!replicas_[shard.value()]) continue;  // another core's
        if (temporary) {
            KV_CO_CHECK(co_await io::remove_file(reactor_, options_.directory + "/" + name));
            continue;
        }
        shards_[shard.value()].files.push_back(file->number);
    }
    for (Shard& shard : shards_) {
        std::sort(shard.files.begin(), shard.files.end());
        if (mutant(Mutant::m50_older_snapshot)) std::ranges::reverse(shard.files);
    }
    co_return Status{};
}

io::Task<Status> Snapshots::load_shard(ShardId shard) {
    Shard& state = shards_[shard.value()];
    const snapshot::SnapshotFile file{Placement::group_of(shard), state.files.back()};
    Loader loader(replica(shard), slots_of(shard));
    const std::uint64_t before = progress_.bytes_done;
    KV_CO_TRY(const snapshot::Head head,
              co_await snapshot::read_snapshot(reactor_, options_.directory, file, options_.store,
                                               loader, progress_.bytes_done));
    state.loaded = head.index;
    state.loaded_term = head.term;
    state.facts.index = head.index;
    state.facts.keys = head.keys;
    state.facts.bytes = progress_.bytes_done - before;
    state.facts.taken_ms = head.time_ms;
    ++progress_.shards;
    progress_.keys += head.keys;
    log::info("loaded a snapshot", log::field("shard", shard.value()),
              log::field("keys", head.keys), log::field("index", head.index.value()),
              log::field("bytes_done", progress_.bytes_done),
              log::field("bytes_total", progress_.bytes_total));
    co_return Status{};
}

io::Task<Status> Snapshots::load() {
    KV_CO_CHECK(co_await look_at_directory());
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        if (shards_[i].files.empty()) continue;
        const std::string path = path_of(ShardId(i), shards_[i].files.back());
        KV_CO_TRY(const io::FileInfo info, co_await io::stat_file(reactor_, path));
        progress_.bytes_total += info.bytes;
    }
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        if (shards_[i].files.empty()) continue;
        KV_CO_CHECK(co_await load_shard(ShardId(i)));
    }
    co_return Status{};
}

Status Snapshots::recovered_mark(ShardId shard, Bytes payload) {
    if (payload.size() != mark_bytes) {
        return fail(Errc::damaged, fmt::format("a snapshot mark of {} bytes", payload.size()));
    }
    const Index index(load_le<std::uint64_t>(payload.data()));
    const Term term(load_le<std::uint64_t>(payload.data() + 8));
    const Index number(load_le<std::uint64_t>(payload.data() + 16));
    Shard& state = shards_[shard.value()];
    const bool same = index == state.loaded && term == state.loaded_term;
    if (number != index || index.value() == 0) {
        return fail(Errc::damaged, fmt::format("a snapshot mark of entry {}, number {}",
                                               index.value(), number.value()));
    }
    // Not refused at once: the newest mark names the file that is needed.
    if (index >= state.loaded && !same) state.missing = index;
    state.marked = std::max(state.marked, index);
    state.marked_term = std::max(state.marked_term, term);
    retention_.marked(shard, index);
    return {};
}

void Snapshots::recovered_entry(ShardId shard, const Entry& entry, SegmentSeq segment) {
    progress_.log_bytes += entry.bytes.size();
    shards_[shard.value()].joined = true;
    if (entry.index <= shards_[shard.value()].loaded) {
        retention_.covered_entry(shard, entry.index, segment);
    } else {
        retention_.entry(shard, entry.index, segment, entry.bytes.size());
    }
}

Status Snapshots::entry_refused(ShardId shard, const Error& error) {
    Shard& state = shards_[shard.value()];
    if (state.joined || error.code != Errc::damaged) return fail(error);
    state.refused = error;
    return {};
}

io::Task<Status> Snapshots::recovered() {
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        if (shards_[i].missing.value() == 0) continue;
        co_return fail(Errc::damaged,
                       fmt::format("{} is missing, and the log relies on it: acknowledged data "
                                   "cannot be read back; nothing was changed. Restore the file "
                                   "from a backup, or move the data directory away to start empty",
                                   path_of(ShardId(i), shards_[i].missing)));
    }
    for (const Shard& shard : shards_) {
        if (shard.refused) co_return fail(*shard.refused);
    }
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        co_await remove_older(ShardId(i), shards_[i].marked);
    }
    if (options_.log_bytes_max == 0) {
        highest_limit_ = log_limit();
        log_.set_bytes_max(highest_limit_);
    }
    co_return Status{};
}

}  // namespace kv
