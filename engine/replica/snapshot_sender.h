#pragma once

/// SnapshotSender: sends snapshot files to followers that the log does not reach any more, one at a
/// time on each core, on connections of their own (consensus/drive/snapshot_link.h). The file stays
/// open, so that it may be replaced meanwhile; none of the shard is taken while one is sent, unless
/// the log is long, so that the log goes on from what was sent. Owner core only; a part of the
/// ReplicaSet.

#include <deque>
#include <memory>

#include "consensus/drive/snapshot_link.h"
#include "engine/replica/snapshots.h"

namespace kv {

class SnapshotSender {
public:
    class Owner {
    public:
        virtual void on_snapshot_sent(ShardId shard, NodeId to, bool received) noexcept = 0;

    protected:
        ~Owner() = default;
    };

    static constexpr std::size_t chunk_bytes = std::size_t{128} << 10;
    static constexpr std::uint64_t bytes_per_second_default = std::uint64_t{64} << 20;
    /// A write of the log that takes longer makes a transfer wait.
    static constexpr Duration slow_sync = 20ms;
    /// After a failure.
    static constexpr Duration retry_pause = 250ms;

    SnapshotSender(io::Reactor& reactor, const wal::Wal& log, Snapshots& snapshots,
                   const std::vector<std::unique_ptr<Replica>>& replicas, Owner& owner,
                   std::uint64_t bytes_per_second);
    SnapshotSender(const SnapshotSender&) = delete;

    /// Without routes nothing is sent.
    void set_routes(consensus::SnapshotRoutes* routes) noexcept { routes_ = routes; }
    /// Replaces what waits for the same shard and follower: so that is bounded by their number.
    void ask(ShardId shard, const consensus::SnapshotSend& send);
    void start();
    io::Task<void> stop();

    struct Counters {
        std::uint64_t sent = 0;
        std::uint64_t resumed = 0;
        std::uint64_t failed = 0;
        std::uint64_t bytes = 0;
    };
    const Counters& counters() const noexcept { return counters_; }

private:
    struct Asked {
        ShardId shard;
        consensus::SnapshotSend send;
    };
    io::Task<void> run();
    io::Task<void> serve(Asked asked);
    io::Task<Status> send_to(Asked* asked, Snapshots::File file);
    io::Task<Status> send_file(Asked* asked, Snapshots::File place, const io::File* file);
    io::Task<Status> send_chunks(const io::File* file, std::uint64_t offset, std::uint64_t size);
    io::Task<Result<std::uint64_t>> name_bytes(const io::File* file, std::uint64_t size);

    io::Reactor& reactor_;
    const wal::Wal& log_;
    Snapshots& snapshots_;
    const std::vector<std::unique_ptr<Replica>>& replicas_;
    Owner& owner_;
    const std::uint64_t bytes_per_second_;
    consensus::SnapshotRoutes* routes_ = nullptr;
    std::deque<Asked> queue_;
    std::unique_ptr<consensus::SnapshotLink> link_;  ///< of the transfer that is under way
    consensus::LogRate log_rate_;
    io::Event wake_;
    io::Event ended_;
    bool started_ = false;
    bool stopping_ = false;
    Counters counters_;
};

}  // namespace kv
