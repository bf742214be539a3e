#include "engine/replica/log_fetcher.h"

#include <algorithm>

#include "engine/replica/placement.h"
#include "proto/base/log.h"

namespace kv {

/// Copies the wanted entries out of batches.
class LogFetcher::Collector final : public wal::BatchSink {
public:
    Collector(GroupId group, const consensus::Fetch& fetch, Index last) noexcept
        : group_(group), next_(fetch.first), last_(last), bytes_max_(fetch.bytes_max) {}

    bool on_batch(std::uint32_t records, Bytes payload) override {
        for (std::uint32_t i = 0; i < records; ++i) {
            wal::Record record;
            if (!wal::take_record(payload, record)) return false;
            if (record.group != group_ || record.kind != wal::RecordKind::entries) continue;
            for (Bytes rest = record.payload; !rest.empty();) {
                const Result<Entry> entry = decode_entry(rest, group_);
                if (!entry) return false;
                rest = rest.subspan(entry->bytes.size());
                take(*entry);
            }
        }
        return next_ <= last_ && bytes_.size() < bytes_max_;
    }

    /// Views what was collected.
    std::vector<Entry> entries() const {
        std::vector<Entry> entries;
        std::size_t taken = 0;
        for (std::size_t i = 0; i < ends_.size(); ++i) {
            if (i != 0 && ends_[i] > bytes_max_) break;
            const std::string_view all = bytes_;
            entries.push_back(view_entry(as_bytes(all.substr(taken, ends_[i] - taken))));
            taken = ends_[i];
        }
        return entries;
    }

private:
    /// The log may hold an entry of an earlier leader, and behind it the one that took its place.
    void take(const Entry& entry) {
        const Index first(next_.value() - ends_.size());
        if (entry.index < next_) {
            // All behind it went with what it replaces, also where that is before the first.
            const Index kept = std::max(first, entry.index);
            ends_.resize(kept - first);
            bytes_.resize(ends_.empty() ? 0 : ends_.back());
            next_ = kept;
        }
        // Within one batch more may come than is wanted, and be replaced.
        if (entry.index != next_ || entry.index > last_) return;
        bytes_.append(as_text(entry.bytes));
        ends_.push_back(bytes_.size());
        next_ = next_.next();
    }

    const GroupId group_;
    Index next_;
    const Index last_;
    const std::size_t bytes_max_;
    std::string bytes_;
    std::vector<std::size_t> ends_;  ///< of the entries before next_
};

LogFetcher::LogFetcher(io::Reactor& reactor, const wal::Wal& log, const LogIndex& index,
                       Owner& owner)
    : reactor_(reactor),
      index_(index),
      owner_(owner),
      reader_(reactor, log),
      wake_(reactor),
      ended_(reactor) {}

void LogFetcher::ask(ShardId shard, const consensus::Fetch& fetch) {
    if (stopping_) return;
    std::erase_if(queue_, [&](const Asked& asked) {
        return asked.shard == shard && asked.fetch.to == fetch.to;
    });
    queue_.push_back({shard, fetch});
    wake_.set();
}

void LogFetcher::start() {
    started_ = true;
    reactor_.spawn(run());
}

io::Task<void> LogFetcher::stop() {
    stopping_ = true;
    wake_.set();
    if (started_) co_await ended_.wait();
}

io::Task<void> LogFetcher::run() {
    while (!stopping_) {
        wake_.reset();
        if (queue_.empty()) {
            co_await wake_.wait();
            continue;
        }
        const Asked asked = queue_.front();
        queue_.pop_front();
        co_await serve(asked);
    }
    ended_.set();
}

io::Task<void> LogFetcher::serve(Asked asked) {
    const std::optional<LogIndex::Found> found = index_.find(asked.shard, asked.fetch.first);
    std::vector<Entry> entries;
    const Index last = found ? std::min(found->last, asked.fetch.last) : Index();
    Collector collector(Placement::group_of(asked.shard), asked.fetch, last);
    if (found) {
        ++counters_.reads;
        const Status read = co_await reader_.read(found->place, collector);
        if (stopping_) co_return;
        std::uint64_t passed_over = 0;
        if (!read && read.error().code != Errc::not_found &&
            log_rate_.allow(reactor_.now(), passed_over)) {
            log::warn("entries for a follower cannot be read from the log, a snapshot will do",
                      log::field("shard", asked.shard.value()),
                      log::field("error", read.error().text()),
                      log::field("passed_over", passed_over));
        }
        entries = collector.entries();
    }
    counters_.entries += entries.size();
    if (entries.empty()) ++counters_.misses;
    owner_.on_fetched(asked.shard, asked.fetch, entries);
}

}  // namespace kv
