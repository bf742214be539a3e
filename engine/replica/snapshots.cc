#include "engine/replica/snapshots.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/await.h"
#include "io/file.h"
#include "proto/base/log.h"

namespace kv {

namespace {

constexpr std::size_t mark_bytes = 24;
constexpr std::uint64_t segments_min = 16;
constexpr std::uint64_t intervals_min = 4;
/// Of the log's limit, left free for writing while snapshots are taken, however long it is kept for
/// followers: a part, and at least so many segments.
constexpr std::uint64_t free_divisor = 4;
constexpr std::uint64_t free_segments_min = 6;

}  // namespace

/// What the writer of a file reads.
class Snapshots::CutSource final : public snapshot::Source {
public:
    CutSource(StoreCut& cut, const Snapshots& owner) noexcept : cut_(cut), owner_(owner) {}
    std::size_t read(MutableBytes to) override { return cut_.read(to); }
    bool ended() const override { return cut_.ended(); }
    bool stopped() const override { return cut_.broken() || owner_.ending(); }
    std::size_t frames_per_turn() const override {
        // Reading ends what is saved: hurry before there is too much of it.
        if (cut_.saved_bytes() > cut_.saved_bytes_max() / 2) return pace_max;
        if (owner_.pace_ == 0 && owner_.pressed()) return 1;
        return owner_.pace_;
    }

private:
    StoreCut& cut_;
    const Snapshots& owner_;
};

Snapshots::Snapshots(io::Reactor& reactor, SnapshotOptions options, const Placement& placement,
                     wal::Wal& log, const std::vector<std::unique_ptr<Replica>>& replicas)
    : reactor_(reactor),
      options_(std::move(options)),
      placement_(placement),
      log_(log),
      replicas_(replicas),
      retention_(options_.limits, placement.shards()),
      shards_(placement.shards()),
      wake_(reactor),
      ended_(reactor),
      retry_timer_(wake_) {}

Snapshots::~Snapshots() {
    reactor_.timers().disarm(retry_timer_);
}

std::string Snapshots::path_of(ShardId shard, Index number) const {
    const snapshot::SnapshotFile file{Placement::group_of(shard), number};
    return options_.directory + "/" + file.name();
}

// --- the log goes on -----------------------------------------------------------------------------

void Snapshots::entry_durable(ShardId shard, Index index, std::uint64_t bytes) {
    // What one acknowledgement reports is all in the newest segment: a segment ends only where all
    // of it is durable.
    retention_.entry(shard, index, log_.current_segment(), bytes);
    if (!retention_.may_be_due(shard)) return;
    if (retention_.due(shard, replica(shard).store().bytes())) wake_.set();
}

void Snapshots::on_durable(wal::Ticket ticket) {
    durable_ = ticket;
    if (!taken_.empty()) wake_.set();
}

wal::Ticket Snapshots::stage_mark(ShardId shard) {
    const Shard& state = shards_[shard.value()];
    std::byte payload[mark_bytes];
    store_le<std::uint64_t>(payload, state.marked.value());
    store_le<std::uint64_t>(payload + 8, state.marked_term.value());
    store_le<std::uint64_t>(payload + 16, state.marked.value());
    return log_.stage(wal::RecordKind::snapshot_mark, Placement::group_of(shard), payload);
}

void Snapshots::on_rotation() {
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        if (shards_[i].marked.value() == 0) continue;
        static_cast<void>(stage_mark(ShardId(i)));  // durable with the rotation
    }
    wake_.set();
}

void Snapshots::on_failed() {
    failed_ = true;
    wake_.set();
}

std::uint64_t Snapshots::log_limit() const {
    if (options_.log_bytes_max != 0) return options_.log_bytes_max;
    std::uint64_t data = 0;
    for (const auto& replica : replicas_) {
        if (replica) data += replica->store().bytes();
    }
    return std::max(segments_min * options_.segment_bytes,
                    intervals_min * options_.limits.log_bytes) +
           2 * data;
}

/// Of the log from what any group needs on; 0: that is in the newest segment.
std::uint64_t Snapshots::log_bytes_needed() const {
    const auto first = retention_.first_needed();
    if (!first || *first >= log_.current_segment()) return 0;
    return log_.log_bytes_from(*first);
}

/// Whether what the log holds for laggards is more than half of its limit.
bool Snapshots::pressed() const {
    return log_bytes_needed() > log_limit() / 2;
}

/// Whether it is so much that followers cannot be waited for any more.
bool Snapshots::overdue() const {
    const std::uint64_t limit = log_limit();
    const std::uint64_t free =
        std::max(limit / free_divisor, free_segments_min * options_.segment_bytes);
    return log_bytes_needed() > std::max(limit / 2, limit - std::min(limit, free));
}

// --- taking snapshots ----------------------------------------------------------------------------

bool Snapshots::ask_all() {
    if (!asked_.empty() || facts_.running) return false;
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        if (replicas_[i] && has_changed(ShardId(i))) asked_.push_back(ShardId(i));
    }
    if (asked_.empty()) note_saved();
    wake_.set();
    return true;
}

bool Snapshots::has_changed(ShardId shard) const {
    return replica(shard).group().applied() != shards_[shard.value()].facts.index;
}

/// `shard` has a snapshot.
void Snapshots::end_asked(ShardId shard) {
    if (std::erase(asked_, shard) != 0 && asked_.empty()) note_saved();
}

void Snapshots::note_saved() {
    facts_.saved_ms = static_cast<std::uint64_t>(reactor_.wall_ns()) / 1'000'000;
}

std::vector<ShardId> Snapshots::choose() {
    if (retry_timer_.armed()) return {};
    const bool log_is_long = pressed();
    std::vector<ShardId> chosen;
    if (log_is_long) {
        chosen = retention_.pinning(*retention_.first_needed());
        const bool late = overdue();
        std::erase_if(chosen, [&](ShardId shard) {
            if (!late && waits(shard)) return true;
            // What pins it may not be committed yet, as far as this node knows: another snapshot of
            // what one is marked of would release nothing, and its mark would make the log longer.
            const bool nothing_new =
                replica(shard).group().applied() <= shards_[shard.value()].marked;
            return nothing_new ||
                   std::any_of(taken_.begin(), taken_.end(),
                               [&](const Taken& taken) { return taken.shard == shard; });
        });
        if (!chosen.empty()) return chosen;
    }
    if (!asked_.empty()) return asked_;
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        const ShardId shard(i);
        if (!replicas_[i] || !retention_.may_be_due(shard)) continue;
        if (!retention_.due(shard, replica(shard).store().bytes()) || waits(shard)) continue;
        const bool longest =
            chosen.empty() || retention_.log_bytes(shard) > retention_.log_bytes(chosen.front());
        if (longest) chosen.assign(1, shard);
    }
    return chosen;
}

io::Task<void> Snapshots::run() {
    while (!ending()) {
        wake_.reset();
        if (options_.log_bytes_max == 0) {
            // Never lower: data that were flushed must not make a log that is there too long.
            highest_limit_ = std::max(highest_limit_, log_limit());
            log_.set_bytes_max(highest_limit_);
        }
        std::vector<ShardId> chosen = choose();
        const bool pinned = chosen.empty() && taken_.empty() && pressed();
        if (pinned && !retry_timer_.armed()) {
            reactor_.timers().arm(retry_timer_, reactor_.now() + retry_first);
        }
        if (!chosen.empty()) co_await take_all(std::move(chosen));
        // In a log that is long, marks wait for those that could not be taken: only together they
        // release a segment, and there is room for one batch.
        const bool more_to_take = retry_timer_.armed() && pressed();
        if (!taken_.empty() && !ending() && !more_to_take) {
            co_await mark_taken();
            continue;
        }
        // Not while a mark is on its way: what it is to replace is needed until it is durable.
        while (taken_.empty() && !left_.empty() && !ending()) {
            const ShardId shard = left_.back();
            left_.pop_back();
            co_await remove_older(shard, shards_[shard.value()].marked);
        }
        if (!ending()) co_await wake_.wait();
    }
    ended_.set();
}

io::Task<void> Snapshots::take_all(std::vector<ShardId> shards) {
    for (std::size_t i = 0; i < shards.size() && !ending(); ++i) {
        const ShardId shard = shards[i];
        if (options_.permit != nullptr) co_await options_.permit->take();
        if (!ending()) co_await take(shard);
        if (options_.permit != nullptr) options_.permit->give();
    }
}

io::Task<void> Snapshots::take(ShardId shard) {
    const LogPosition position = replica(shard).group().applied_position();
    facts_.running = shard;
    retention_.begun(shard);
    const Instant begun = reactor_.now();
    Result<snapshot::Written> written = co_await write(shard);
    const std::uint64_t keys = cut_->keys();
    const bool broken = cut_->broken();
    cut_.reset();
    facts_.running.reset();
    if (!written) {
        retention_.given_up(shard);
        if (broken) {
            ++facts_.given_up;
            pace_ = std::clamp(2 * pace_, std::size_t{1}, pace_max);
            reactor_.timers().arm(retry_timer_, reactor_.now() + retry_first);
        } else if (!ending()) {
            failed(shard, written.error());
        }
        co_return;
    }
    Shard& state = shards_[shard.value()];
    if (position.index < state.marked) {
        // One that arrived was installed meanwhile.
        retention_.given_up(shard);
        end_asked(shard);
        const Status removed = co_await io::remove_file(reactor_, path_of(shard, position.index));
        static_cast<void>(removed);  // the next start removes it
        co_return;
    }
    if (state.files.empty() || state.files.back() != position.index) {
        state.files.push_back(position.index);
    }
    state.facts.index = position.index;
    state.facts.keys = keys;
    state.facts.bytes = written->bytes;
    state.facts.taken_ms = static_cast<std::uint64_t>(reactor_.wall_ns()) / 1'000'000;
    if (state.distrusted == position.index) state.distrusted = {};  // it was written anew
    taken_.push_back({shard, position.index, position.term});
    ++facts_.completed;
    end_asked(shard);
    facts_.last_error.clear();
    facts_.last_duration = reactor_.now() - begun;
    retry_delay_ = {};
    alarmed_ = false;
    pace_ = 0;
    log::debug(
        "snapshot taken", log::field("shard", shard.value()),
        log::field("index", position.index.value()), log::field("keys", keys),
        log::field("bytes", written->bytes),
        log::field(
            "ms",
            std::chrono::duration_cast<std::chrono::milliseconds>(facts_.last_duration).count()));
}

io::Task<Result<snapshot::Written>> Snapshots::write(ShardId shard) {
    const consensus::Group& group = replica(shard).group();
    cut_ = std::make_unique<StoreCut>(replica(shard).mutable_store(), options_.saved_bytes_max);
    snapshot::Content content;
    content.head.store = options_.store;
    content.head.group = group.id();
    content.head.index = group.applied_position().index;
    content.head.term = group.applied_position().term;
    content.head.time_ms = group.applied_time_ms();
    content.head.revision = cut_->revision();
    content.head.keys = cut_->keys();
    content.slots = slots_of(shard);
    encode_configuration(group.configuration(), content.configuration);
    snapshot::WriteOptions options;
    options.directory = options_.directory;
    options.direct = log_.sync_mode() == wal::SyncMode::dsync;
    CutSource source(*cut_, *this);
    co_return co_await snapshot::write_snapshot(reactor_, std::move(options), std::move(content),
                                                source);
}

void Snapshots::failed(ShardId shard, const Error& error) {
    ++facts_.failures;
    facts_.last_error = error.text();
    retry_delay_ = retry_delay_ == Duration{} ? retry_first : std::min(2 * retry_delay_, retry_max);
    reactor_.timers().arm(retry_timer_, reactor_.now() + retry_delay_);
    if (error.code == Errc::no_space && std::exchange(alarmed_, true)) return;
    log::error("a snapshot cannot be written: the log grows until one can; trying again",
               log::field("shard", shard.value()), log::field("error", error.text()));
}

/// Marks what was taken, in one batch, and lets go what that makes needless.
io::Task<void> Snapshots::mark_taken() {
    for (const Taken& taken : taken_) {
        Shard& state = shards_[taken.shard.value()];
        state.marked = taken.index;
        state.marked_term = taken.term;
    }
    wal::Ticket ticket = 0;
    for (Taken& taken : taken_) taken.ticket = ticket = stage_mark(taken.shard);
    reactor_.want_turn();
    while (!ending() && durable_ < ticket) {
        wake_.reset();
        co_await wake_.wait();
    }
    if (durable_ < ticket) co_return;  // the next start finds them
    // What was installed meanwhile has its mark on its way, behind these.
    std::vector<Taken> marked;
    std::erase_if(taken_, [&](const Taken& taken) {
        const bool durable = taken.ticket != 0 && taken.ticket <= durable_;
        if (durable) marked.push_back(taken);
        return durable;
    });
    for (const Taken& taken : marked) {
        retention_.marked(taken.shard, taken.index);
        replica(taken.shard).group().compacted({taken.term, taken.index});
    }
    log_.release_before(retention_.first_needed().value_or(log_.current_segment()));
    for (const Taken& taken : marked) co_await remove_older(taken.shard, taken.index);
}

io::Task<void> Snapshots::remove_older(ShardId shard, Index than) {
    std::vector<Index>& files = shards_[shard.value()].files;
    // One that is being sent stays whole: to be freed in steps is to have holes.
    while (!files.empty() && files.front() < than &&
           files.front() != shards_[shard.value()].sending) {
        const Index oldest = files.front();
        const Status removed = co_await remove_gently(path_of(shard, oldest));
        if (!removed && removed.error().code != Errc::not_found) {
            log::warn("an old snapshot cannot be removed",
                      log::field("error", removed.error().text()));
        }
        std::erase(files, oldest);
    }
}

/// A file system that tells its disk what it frees makes syncs of the log wait for that: a big file
/// is given back in steps, each with a sync and a pause of its own.
io::Task<Status> Snapshots::remove_gently(std::string path) {
    const Result<io::FileInfo> info = co_await io::stat_file(reactor_, path);
    const std::uint64_t bytes = info ? info->bytes : 0;
    if (bytes <= free_step || pressed()) co_return co_await io::remove_file(reactor_, path);
    const std::string temporary = path + std::string(snapshot::temporary_suffix);
    // It has holes soon: the next start is not to take it for a snapshot.
    KV_CO_CHECK(co_await io::rename_file(reactor_, path, temporary));
    KV_CO_CHECK(co_await io::sync_directory(reactor_, options_.directory));
    Result<io::File> opened = co_await io::File::open(reactor_, temporary, io::open_write);
    for (std::uint64_t at = 0; opened && at < bytes && !ending() && !pressed(); at += free_step) {
        Status freed = co_await opened->punch(at, free_step);
        if (freed) freed = co_await opened->sync();
        if (!freed) break;  // not every file system can: it goes in one piece
        co_await io::SleepAwaiter(reactor_, free_pause);
    }
    if (opened) co_await opened->close();
    co_return co_await io::remove_file(reactor_, temporary);
}

void Snapshots::start() {
    started_ = true;
    // A mark was durable when the process ended, and what it released was not: nothing else would
    // say so before the next mark, and a log that is full has no room for what brings that about.
    log_.release_before(retention_.first_needed().value_or(log_.current_segment()));
    reactor_.spawn(run());
}

io::Task<void> Snapshots::stop() {
    stopping_ = true;
    wake_.set();
    if (started_) co_await ended_.wait();
}

SnapshotFacts Snapshots::facts() const {
    SnapshotFacts facts = facts_;
    facts.asked = asked_.size();
    facts.log_limit = std::max(highest_limit_, log_limit());
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        facts.shards.push_back(shards_[i].facts);
        facts.shards.back().log_bytes = retention_.log_bytes(ShardId(i));
    }
    return facts;
}

}  // namespace kv
