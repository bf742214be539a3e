#include "engine/replica/check.h"

#include <fmt/format.h>

#include <optional>

#include "engine/store/cut.h"
#include "engine/store/store.h"
#include "proto/raft/configuration.h"
#include "proto/raft/entry.h"

namespace kv {

namespace {

class SnapshotSink final : public snapshot::Sink {
public:
    explicit SnapshotSink(std::uint64_t hash_secret) : store_(slab_, hash_secret) {}

    Status on_head(const snapshot::Head& head) override {
        keys_ = head.keys;
        loader_.emplace(store_, head.revision);
        return {};
    }
    Status on_slots(Bytes) override { return {}; }
    Status on_configuration(Bytes payload) override {
        KV_TRY(const Configuration configuration, decode_configuration(payload));
        static_cast<void>(configuration);
        return {};
    }
    Status on_entries(Bytes bytes) override { return loader_->feed(bytes); }
    Status on_end() override { return loader_->finish(keys_); }

private:
    Slab slab_;
    Store store_;
    std::optional<StoreLoader> loader_;
    std::uint64_t keys_ = 0;
};

class LogSink final : public wal::RecoverySink {
public:
    explicit LogSink(const SnapshotIndexes& snapshots) : snapshots_(snapshots) {}

    Status on_record(const wal::Record& record, Lsn, SegmentSeq) override {
        switch (record.kind) {
            case wal::RecordKind::entries: return take_entries(record);
            case wal::RecordKind::hard_state: {
                KV_TRY(const HardState state, decode_hard_state(record.payload));
                static_cast<void>(state);
                return {};
            }
            case wal::RecordKind::snapshot_mark: return take_mark(record);
            case wal::RecordKind::log_reset: return take_reset(record);
        }
        KV_UNREACHABLE();
    }
    /// Of the newest marks.
    Status all_snapshots_there() const {
        for (const auto& [group, index] : marks_) {
            if (index <= included(group)) continue;
            return fail(Errc::damaged,
                        fmt::format("the snapshot of group {} at entry {} is missing, and the log "
                                    "relies on it: restore the file from a backup",
                                    group.value(), index.value()));
        }
        return {};
    }

    LogCheck check;

private:
    Index included(GroupId group) const {
        const auto found = snapshots_.find(group);
        return found == snapshots_.end() ? Index(0) : found->second;
    }
    Status take_entries(const wal::Record& record) {
        Bytes rest = record.payload;
        while (!rest.empty()) {
            KV_TRY(const Entry entry, decode_entry(rest, record.group));
            rest = rest.subspan(entry.bytes.size());
            const auto [place, first] = last_.try_emplace(record.group, entry.index);
            const Index before = place->second;
            // The first that is left may be any that the snapshot includes.
            const bool joins =
                first ? entry.index <= included(record.group).next() : entry.index <= before.next();
            if (!joins) {
                return fail(Errc::damaged,
                            fmt::format("group {}: entry {} does not join what is before it",
                                        record.group.value(), entry.index.value()));
            }
            place->second = entry.index;
            ++check.entries;
            check.entry_bytes += entry.bytes.size();
        }
        return {};
    }
    /// A snapshot of another node took the place of all before it.
    Status take_reset(const wal::Record& record) {
        if (record.payload.size() != 16) return fail(Errc::damaged, "a log reset of odd size");
        const Index index(load_le<std::uint64_t>(record.payload.data()));
        if (index > included(record.group)) {
            return fail(Errc::damaged,
                        fmt::format("group {}: the log begins again behind entry {}, and no "
                                    "snapshot goes that far",
                                    record.group.value(), index.value()));
        }
        last_.insert_or_assign(record.group, index);
        return {};
    }
    Status take_mark(const wal::Record& record) {
        if (record.payload.size() < 8) return fail(Errc::damaged, "a short snapshot mark");
        const Index index(load_le<std::uint64_t>(record.payload.data()));
        Index& newest = marks_[record.group];
        newest = std::max(newest, index);
        return {};
    }

    const SnapshotIndexes& snapshots_;
    std::map<GroupId, Index> last_;
    std::map<GroupId, Index> marks_;
};

}  // namespace

io::Task<Result<SnapshotCheck>> check_snapshot(io::Reactor& reactor, std::string directory,
                                               snapshot::SnapshotFile file, StoreId store,
                                               std::uint64_t hash_secret) {
    SnapshotSink sink(hash_secret);
    SnapshotCheck check;
    KV_CO_TRY(check.head,
              co_await snapshot::read_snapshot(reactor, directory, file, store, sink, check.bytes));
    co_return check;
}

io::Task<Result<LogCheck>> check_log(io::Reactor& reactor, wal::WalOptions options,
                                     const SnapshotIndexes& snapshots) {
    LogSink sink(snapshots);
    KV_CO_TRY(wal::Recovered recovered,
              co_await wal::recover(reactor, options, sink, wal::Purpose::inspect));
    KV_CO_CHECK(sink.all_snapshots_there());
    sink.check.report = std::move(recovered.report);
    co_return std::move(sink.check);
}

}  // namespace kv
