#include "engine/node/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/node/data_directory.h"
#include "engine/replica/check.h"

namespace kv {

namespace {

class Verifier {
public:
    Verifier(io::Reactor& reactor, const DataDirectory& directory, VerifyOutput out)
        : reactor_(reactor), directory_(directory), out_(std::move(out)) {}

    io::Task<Result<VerifyReport>> run() {
        KV_CO_CHECK(co_await check_snapshots());
        for (std::uint16_t i = 0; i < directory_.identity().cores(); ++i) co_await check_one_log(i);
        out_(fmt::format(
            "{}: {} snapshots with {} keys, {} logs with {} records and {} entries, "
            "{} bytes: {}",
            report_.failures == 0 ? "all is right" : "NOT RIGHT", report_.snapshots, report_.keys,
            report_.logs, report_.records, report_.entries, report_.bytes, failures()));
        co_return std::move(report_);
    }

private:
    std::string failures() const {
        if (report_.failures == 0) return "nothing is damaged";
        return fmt::format("{} cannot be read", report_.failures);
    }
    void failed(const std::string& what, const Error& error) {
        out_(fmt::format("{}: {}", what, error.text()));
        ++report_.failures;
        // Damage weighs most.
        const bool worse = error.code == Errc::damaged && report_.first_failure &&
                           report_.first_failure->code != Errc::damaged;
        if (!report_.first_failure || worse) report_.first_failure = error;
    }

    io::Task<Status> check_snapshots() {
        const std::string directory = directory_.snapshot_directory();
        KV_CO_TRY(const std::vector<std::string> names,
                  co_await io::list_directory(reactor_, directory));
        for (const std::string& name : names) {
            const auto file = snapshot::SnapshotFile::parse(name);
            if (file) co_await check_one_snapshot(*file);
        }
        co_return Status{};
    }

    io::Task<void> check_one_snapshot(snapshot::SnapshotFile file) {
        const Identity& identity = directory_.identity();
        Result<SnapshotCheck> checked = co_await check_snapshot(
            reactor_, directory_.snapshot_directory(), file, identity.store, identity.hash_secret);
        ++report_.snapshots;
        // Also when it is damaged: the log still joins it, and is not to blame.
        Index& newest = snapshots_[file.group];
        newest = std::max(newest, file.number);
        if (!checked) {
            failed("snapshot " + file.name(), checked.error());
            co_return;
        }
        report_.keys += checked->head.keys;
        report_.bytes += checked->bytes;
        out_(fmt::format("snapshot {}: right, {} keys, {} bytes", file.name(), checked->head.keys,
                         checked->bytes));
    }

    io::Task<void> check_one_log(std::uint16_t core) {
        const Identity& identity = directory_.identity();
        wal::WalOptions options;
        options.directory = directory_.wal_directory();
        options.store = identity.store;
        options.generation = identity.generation;
        options.core = core;
        options.epoch = Epoch(identity.boot);
        options.known_segment = identity.segments[core];
        const std::string what = fmt::format("log of core {}", core);
        Result<LogCheck> checked = co_await check_log(reactor_, options, snapshots_);
        ++report_.logs;
        if (!checked) {
            failed(what, checked.error());
            co_return;
        }
        const wal::RecoveryReport& read = checked->report;
        report_.records += read.records;
        report_.entries += checked->entries;
        report_.bytes += read.bytes;
        std::string end = "stopped cleanly";
        if (read.segments == 0) end = "empty";
        if (!read.cut_file.empty()) {
            end = fmt::format(
                "ends at {} offset {}, where a crash may have torn a write that was "
                "never acknowledged",
                read.cut_file, read.cut_offset);
        }
        out_(fmt::format("{}: right, {} segments, {} batches, {} records, {} entries, {} bytes; {}",
                         what, read.segments, read.batches, read.records, checked->entries,
                         read.bytes, end));
    }

    io::Reactor& reactor_;
    const DataDirectory& directory_;
    VerifyOutput out_;
    VerifyReport report_;
    SnapshotIndexes snapshots_;
};

}  // namespace

io::Task<Result<VerifyReport>> verify_directory(io::Reactor& reactor, std::string path,
                                                VerifyOutput out) {
    DataDirectory directory;
    const Status opened = co_await directory.open_to_look(reactor, std::move(path));
    Result<VerifyReport> report = VerifyReport{};
    if (opened) {
        Verifier verifier(reactor, directory, std::move(out));
        report = co_await verifier.run();
    } else {
        report = fail(opened.error());
    }
    co_await directory.close();
    co_return report;
}

}  // namespace kv
