#include "engine/wal/reshard.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

#include "io/await.h"

namespace kv::wal {

namespace {

constexpr std::uint64_t segment_file_bytes_max = std::uint64_t{256} << 20;
/// Hard states and marks are small: those of all groups fit the first batch of a segment.
constexpr std::size_t newest_bytes_max = 64;
constexpr std::string_view temporary_suffix = ".tmp";

/// The segment file that `name` is, or was to become.
std::optional<SegmentFile> parse_any(std::string_view name) {
    if (name.ends_with(temporary_suffix)) name.remove_suffix(temporary_suffix.size());
    return SegmentFile::parse(name);
}

}  // namespace

/// One of the new logs.
struct Resharder::Output final : WalClient {
    /// What only the newest counts of.
    struct Newest {
        std::string hard_state;
        std::string mark;
    };
    /// A hard state or a mark on its way to the disk.
    struct Staged {
        Ticket ticket;
        GroupId group;
        RecordKind kind;
        std::string payload;
    };

    Output(io::Reactor& reactor, WalOptions options) : wal(reactor, std::move(options), *this) {}

    void on_durable(Ticket ticket) noexcept override {
        durable = ticket;
        for (; !waiting.empty() && waiting.front().ticket <= ticket; waiting.pop_front()) {
            Staged& front = waiting.front();
            Newest& newest = groups[front.group];
            (front.kind == RecordKind::hard_state ? newest.hard_state : newest.mark) =
                std::move(front.payload);
        }
    }
    void on_failed(const Error& error) noexcept override { failure = error; }
    /// What the log says up to here. Newer ones wait, and follow in their places: a commit that is
    /// ahead of its entries would make those that take the place of others look like damage.
    void stage_rotation() noexcept override {
        for (const auto& [group, newest] : groups) {
            if (!newest.hard_state.empty())
                wal.stage(RecordKind::hard_state, group, as_bytes(newest.hard_state));
            if (!newest.mark.empty())
                wal.stage(RecordKind::snapshot_mark, group, as_bytes(newest.mark));
        }
    }
    void stage(const Record& record) {
        staged = wal.stage(record.kind, record.group, record.payload);
        if (record.kind == RecordKind::hard_state || record.kind == RecordKind::snapshot_mark) {
            waiting.push_back(
                {staged, record.group, record.kind, std::string(as_text(record.payload))});
        }
    }
    /// There is no room for what is staged.
    bool full_disk() const noexcept { return wal.read_only() && wal.stuck(); }

    std::map<GroupId, Newest> groups;  ///< the newest that are durable
    std::deque<Staged> waiting;
    Wal wal;
    Ticket staged = 0;
    Ticket durable = 0;
    std::optional<Error> failure;
};

/// Takes what is read from the old logs.
class Resharder::Input final : public RecoverySink {
public:
    explicit Input(Resharder& owner) noexcept : owner_(owner) {}

    Status on_record(const Record& record, Lsn, SegmentSeq) override {
        const auto core = owner_.options_.core_of(record.group);
        if (!core) {
            return fail(Errc::foreign,
                        fmt::format("a record of group {}, which is none of this node",
                                    record.group.value()));
        }
        Output& output = *owner_.outputs_[*core];
        const bool small =
            record.kind == RecordKind::hard_state || record.kind == RecordKind::snapshot_mark;
        if (small && record.payload.size() > newest_bytes_max) {
            return fail(Errc::damaged,
                        fmt::format("a record of kind {} with {} bytes",
                                    static_cast<int>(record.kind), record.payload.size()));
        }
        if (record.payload.size() > output.wal.record_bytes_max()) {
            return fail(Errc::damaged, fmt::format("a record of {} bytes, more than any segment "
                                                   "here has room for",
                                                   record.payload.size()));
        }
        output.stage(record);
        owner_.staged_bytes_ += record_bytes(record.payload.size());
        return {};
    }
    bool full() const noexcept override { return owner_.staged_bytes_ >= staged_bytes_max; }
    io::Task<Status> make_room() override { return owner_.settle(); }

private:
    Resharder& owner_;
};

Resharder::Resharder(io::Reactor& reactor, ReshardOptions options)
    : reactor_(reactor), options_(std::move(options)) {}

Resharder::~Resharder() = default;

const Error* Resharder::failure() const noexcept {
    for (const auto& output : outputs_) {
        if (output->failure) return &*output->failure;
    }
    return nullptr;
}

/// Fits the new segments to the old ones.
io::Task<Status> Resharder::look_at_directory() {
    const std::string directory = options_.from.front().directory;
    std::uint64_t largest = 0;
    KV_CO_TRY(const std::vector<std::string> names,
              co_await io::list_directory(reactor_, directory));
    for (const std::string& name : names) {
        const auto file = parse_any(name);
        if (!file) continue;
        const std::string path = fmt::format("{}/{}", directory, name);
        if (file->generation == options_.to.front().generation) {
            co_return fail(
                Errc::damaged,
                fmt::format("{} is of a later generation than the data directory knows: restore "
                            "its file \"identity\" from the same backup as its logs, or move the "
                            "data directory away to start empty",
                            path));
        }
        if (file->generation != options_.from.front().generation) continue;
        KV_CO_TRY(const io::FileInfo info, co_await io::stat_file(reactor_, path));
        largest = std::max(largest, info.bytes);
    }
    largest = std::min(round_up(largest, io::block_bytes), segment_file_bytes_max);
    for (WalOptions& to : options_.to) to.segment_bytes = std::max(to.segment_bytes, largest);
    co_return Status{};
}

/// Until all that was staged is durable.
io::Task<Status> Resharder::settle() {
    while (true) {
        bool durable = true;
        for (const auto& output : outputs_) {
            output->wal.flush();
            durable = durable && output->durable >= output->staged;
            if (output->failure) co_return fail(*output->failure);
            if (output->full_disk()) co_return fail(Errc::no_space, "no room for a segment");
        }
        if (durable) break;
        co_await io::SleepAwaiter(reactor_, look_period);
    }
    staged_bytes_ = 0;
    co_return Status{};
}

io::Task<Status> Resharder::copy(std::vector<RecoveryReport>* reports) {
    for (const auto& output : outputs_) {
        WalPosition empty;
        KV_CO_CHECK(co_await output->wal.open(std::move(empty)));
    }
    Input input(*this);
    for (const WalOptions& from : options_.from) {
        KV_CO_TRY(Recovered recovered, co_await recover(reactor_, from, input));
        reports->push_back(std::move(recovered.report));
    }
    co_return co_await settle();
}

io::Task<Result<Resharded>> Resharder::run() {
    KV_CO_CHECK(co_await look_at_directory());
    for (const WalOptions& to : options_.to) {
        outputs_.push_back(std::make_unique<Output>(reactor_, to));
    }
    Resharded out;
    const Status copied = co_await copy(&out.reports);
    for (const auto& output : outputs_) {
        if (failure() == nullptr) co_await output->wal.stop();
    }
    if (const Error* const error = failure()) co_return fail(*error);
    if (!copied) {
        const auto& from = options_.from.front();
        KV_CO_CHECK(co_await remove_generations(reactor_, from.directory, from.generation));
        co_return fail(copied.error());
    }
    for (const auto& output : outputs_) out.segments.push_back(output->wal.current_segment());
    co_return std::move(out);
}

io::Task<Status> remove_generations(io::Reactor& reactor, std::string directory,
                                    std::uint64_t kept) {
    KV_CO_TRY(const std::vector<std::string> names,
              co_await io::list_directory(reactor, directory));
    bool removed = false;
    for (const std::string& name : names) {
        const auto file = parse_any(name);
        if (!file || file->generation == kept) continue;
        const std::string path = fmt::format("{}/{}", directory, name);
        KV_CO_CHECK(co_await io::remove_file(reactor, path));
        removed = true;
    }
    if (removed) {
        KV_CO_CHECK(co_await io::sync_directory(reactor, directory));
    }
    co_return Status{};
}

}  // namespace kv::wal
