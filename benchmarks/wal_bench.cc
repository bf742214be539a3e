/// Durable writes on the disk below the temporary directory (TMPDIR, else /tmp), through io_uring:
/// bare synced writes into a prepared segment, and the log itself. Arguments: bytes of a batch, and
/// how many are under way at a time. p50_us and p99_us: from the start of a batch until it is
/// durable. On tmpfs the figures mean nothing: the context printed first names the file system.

#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "engine/wal/wal.h"
#include "io/file.h"
#include "io/uring/uring_backend.h"

namespace kv::wal {
namespace {

constexpr std::uint64_t segment_bytes = std::uint64_t{64} << 20;
constexpr double seconds_each = 0.15;

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "wal_bench: %s\n", why.c_str());
    std::exit(1);
}

/// A reactor on io_uring and a directory that goes when it does.
class World {
public:
    World() {
        auto backend = io::UringBackend::create();
        if (!backend) give_up(backend.error().text());
        backend_ = *std::move(backend);
        reactor_.emplace(*backend_);
        std::string name = std::filesystem::temp_directory_path() / "wal_bench.XXXXXX";
        if (mkdtemp(name.data()) == nullptr) give_up("cannot make a directory " + name);
        directory_ = name;
    }
    ~World() {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }
    io::Reactor& reactor() noexcept { return *reactor_; }
    const std::string& directory() const noexcept { return directory_; }

    /// Turns until `task` has ended.
    template <typename T>
    void run(io::Task<T> task, std::optional<T>& result) {
        reactor_->spawn(keep(std::move(task), result));
        while (!result) reactor_->turn(1s);
    }

private:
    template <typename T>
    static io::Task<void> keep(io::Task<T> task, std::optional<T>& result) {
        T value = co_await task;
        result.emplace(std::move(value));
    }

    std::unique_ptr<io::UringBackend> backend_;
    std::optional<io::Reactor> reactor_;
    std::string directory_;
};

/// Times of batches, as they are reported.
class Latencies {
public:
    void add(Duration time) { times_.push_back(time); }
    void report(benchmark::State& state) {
        if (times_.empty()) return;
        state.counters["p50_us"] = percentile(50);
        state.counters["p99_us"] = percentile(99);
    }

private:
    double percentile(std::size_t percent) {
        const auto at =
            times_.begin() + static_cast<std::ptrdiff_t>((times_.size() - 1) * percent / 100);
        std::nth_element(times_.begin(), at, times_.end());
        return static_cast<double>(at->count()) / 1e3;
    }
    std::vector<Duration> times_;
};

void count_bytes(benchmark::State& state) {
    state.SetBytesProcessed(state.iterations() * state.range(0));
    state.SetItemsProcessed(state.iterations());
}

// --- bare writes ---------------------------------------------------------------------------------

/// A prepared segment file, written from its front to its end, again and again.
class BareSegment {
public:
    BareSegment(World& world, SyncMode mode) : world_(world), mode_(mode), data_(1 << 20) {
        std::memset(data_.data(), 0x5a, data_.capacity());
        std::optional<Status> prepared;
        world_.run(
            prepare(world_.directory() + (mode == SyncMode::dsync ? "/direct" : "/buffered")),
            prepared);
        if (!*prepared) give_up(prepared->error().text());
    }
    ~BareSegment() {
        std::optional<bool> closed;
        world_.run(close(), closed);
    }

    void measure(benchmark::State& state) {
        const auto bytes = static_cast<std::size_t>(state.range(0));
        std::vector<std::unique_ptr<Write>> writes;
        for (std::int64_t i = 0; i < state.range(1); ++i) {
            writes.push_back(std::make_unique<Write>(*this, bytes));
        }
        Latencies latencies;
        std::size_t turn = 0;
        // The oldest is awaited and begun anew, so that all are under way at the end of an
        // iteration.
        for (const auto& write : writes) write->begin();
        for (auto _ : state) {
            Write& oldest = *writes[turn++ % writes.size()];
            wait(oldest);
            latencies.add(oldest.took());
            oldest.begin();
        }
        for (const auto& write : writes) wait(*write);
        latencies.report(state);
        count_bytes(state);
    }

private:
    struct Write : io::Op {
        Write(BareSegment& s, std::size_t b) : Op(&Write::done), segment(s), bytes(b) {}

        void begin() {
            io::OpRequest request;
            request.code = io::OpCode::write;
            request.flags = segment.mode_ == SyncMode::dsync ? io::write_dsync : 0u;
            request.fd = segment.file_.fd();
            request.offset = segment.next_offset(bytes);
            request.data = segment.data_.data();
            request.bytes = static_cast<std::uint32_t>(bytes);
            began = segment.world_.reactor().backend().now();
            syncing = false;
            durable = false;
            set_request(request);
            segment.world_.reactor().backend().submit(*this);
        }
        Duration took() const noexcept { return ended - began; }

        static void done(io::Op& op, std::int32_t result, io::Completion) noexcept {
            auto& self = static_cast<Write&>(op);
            const auto expected = self.syncing ? 0 : static_cast<std::int32_t>(self.bytes);
            KV_ASSERT(result == expected, "{} of {}", result, expected);
            if (self.segment.mode_ == SyncMode::fdatasync && !self.syncing) {
                io::OpRequest request;
                request.code = io::OpCode::sync;
                request.fd = self.segment.file_.fd();
                self.syncing = true;
                self.set_request(request);
                self.segment.world_.reactor().backend().submit(self);
                return;
            }
            self.ended = self.segment.world_.reactor().backend().now();
            self.durable = true;
        }

        BareSegment& segment;
        std::size_t bytes;
        Instant began;
        Instant ended;
        bool syncing = false;
        bool durable = false;
    };

    void wait(const Write& write) {
        while (!write.durable) world_.reactor().turn(1s);
    }
    std::uint64_t next_offset(std::size_t bytes) noexcept {
        if (next_ + bytes > segment_bytes) next_ = 0;
        return std::exchange(next_, next_ + bytes);
    }

    io::Task<Status> prepare(std::string path) {
        io::Reactor& reactor = world_.reactor();
        auto opened = co_await open_segment(reactor, path, mode_, true);
        if (!opened) co_return std::unexpected(opened.error());
        file_ = *std::move(opened);
        co_return co_await fill_segment(reactor, file_, segment_bytes);
    }
    io::Task<bool> close() {
        const std::string path = file_.path();
        co_await file_.close();
        const Status removed = co_await io::remove_file(world_.reactor(), path);
        co_return removed.has_value();
    }

    World& world_;
    SyncMode mode_;
    AlignedBuffer data_;
    io::File file_;
    std::uint64_t next_ = 0;
};

// --- the log -------------------------------------------------------------------------------------

/// A log whose older segments are released at once, so that it goes round in a few files.
class RoundLog final : public WalClient {
public:
    explicit RoundLog(World& world)
        : world_(world), wal_(world.reactor(), options(world), *this), payload_(1 << 20) {
        std::optional<Status> opened;
        world_.run(wal_.open(WalPosition{}), opened);
        if (!*opened) give_up(opened->error().text());
    }
    ~RoundLog() {
        std::optional<bool> stopped;
        world_.run(stop(), stopped);
    }

    /// A batch is one record that fills range(0) bytes with its headers.
    void measure(benchmark::State& state) {
        const Bytes record = Bytes(payload_).first(static_cast<std::size_t>(state.range(0)) -
                                                   batch_header_bytes - record_header_bytes);
        const auto ahead = static_cast<std::uint64_t>(state.range(1));
        const std::uint64_t batches_before = wal_.counters().batches;
        Latencies latencies;
        for (auto _ : state) {
            begin(record);
            while (begun_.size() >= ahead) wait(latencies);
        }
        while (!begun_.empty()) wait(latencies);
        latencies.report(state);
        count_bytes(state);
        // Below 1 the log has gathered several records in one write.
        state.counters["writes_per_record"] =
            static_cast<double>(wal_.counters().batches - batches_before) /
            static_cast<double>(state.iterations());
    }
    SyncMode sync_mode() const noexcept { return wal_.sync_mode(); }

private:
    struct Begun {
        Ticket ticket;
        Instant at;
    };

    static WalOptions options(const World& world) {
        WalOptions options;
        options.directory = world.directory();
        options.store = StoreId{1, 2};
        options.epoch = Epoch(1);
        options.segment_bytes = segment_bytes;
        return options;
    }

    void begin(Bytes record) {
        const Instant now = world_.reactor().backend().now();
        const Ticket ticket = wal_.stage(RecordKind::entries, GroupId(1), record);
        begun_.push_back({ticket, now});
        wal_.flush();
    }
    /// Until the oldest record is durable.
    void wait(Latencies& latencies) {
        while (durable_ < begun_.front().ticket) {
            world_.reactor().turn(1s);
            wal_.flush();  // what gathered while others were under way
        }
        const Instant now = world_.reactor().backend().now();
        while (!begun_.empty() && begun_.front().ticket <= durable_) {
            latencies.add(now - begun_.front().at);
            begun_.pop_front();
        }
    }

    void on_durable(Ticket ticket) noexcept override {
        durable_ = ticket;
        if (wal_.log_segments() > 1) wal_.release_before(wal_.current_segment());
    }
    void stage_rotation() noexcept override {}
    void on_failed(const Error& error) noexcept override { give_up(error.text()); }

    io::Task<bool> stop() {
        co_await wal_.stop();
        co_return true;
    }

    World& world_;
    Wal wal_;
    std::vector<std::byte> payload_;
    std::deque<Begun> begun_;
    Ticket durable_ = 0;
};

// --- what is run ---------------------------------------------------------------------------------

std::string file_system(const std::string& path) {
    struct statfs status;
    if (statfs(path.c_str(), &status) != 0) return "unknown";
    switch (static_cast<unsigned long>(status.f_type)) {
        case 0xef53: return "ext4";
        case 0x58465342: return "xfs";
        case 0x9123683e: return "btrfs";
        case 0x01021994: return "tmpfs (memory: not a disk)";
        case 0x794c7630: return "overlayfs";
    }
    return "of another kind";
}

void batches(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"bytes", "in_flight"})->UseRealTime()->MinTime(seconds_each);
    for (const int in_flight : {1, 4}) {
        for (const int kib : {4, 16, 64, 256, 1024}) benchmark->Args({kib * 1024, in_flight});
    }
}

/// Registers `measure` of an object that the first of its benchmarks makes from `arguments`.
template <typename Measured, typename... Arguments>
void add(const char* name, std::optional<Measured>& object, Arguments&... arguments) {
    batches(benchmark::RegisterBenchmark(name, [&](benchmark::State& state) {
        if (!object) object.emplace(arguments...);
        object->measure(state);
    }));
}

int run(int argc, char** argv) {
    World world;
    benchmark::AddCustomContext("directory", world.directory());
    benchmark::AddCustomContext("file system", file_system(world.directory()));
    const SyncMode dsync = SyncMode::dsync;
    const SyncMode fdatasync = SyncMode::fdatasync;
    static std::optional<BareSegment> direct;
    static std::optional<BareSegment> buffered;
    static std::optional<RoundLog> log;
    add("write_dsync_direct", direct, world, dsync);
    add("write_and_fdatasync", buffered, world, fdatasync);
    add("log_append", log, world);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    // While the world they live in is there.
    log.reset();
    buffered.reset();
    direct.reset();
    return 0;
}

}  // namespace
}  // namespace kv::wal

int main(int argc, char** argv) {
    return kv::wal::run(argc, argv);
}
