#pragma once

/// SnapshotSender: sends snapshot files to followers that the log does not reach any more, one at a
/// time on each core, on connections of their own (consensus/drive/snapshot_link.h). The file stays
/// as it is meanwhile, and the log behind it as far as there is room (Snapshots::hold). Its frames
/// are checked as they are read: of one that has rotted nothing leaves from there on, and another
/// one is taken. Owner core only; a part of the ReplicaSet.

#include <deque>
#include <memory>

#include "consensus/drive/snapshot_link.h"
#include "engine/replica/snapshots.h"

namespace kv {

class SnapshotSender {
public:
    class Owner {
    public:
        virtual void on_snapshot_sent(ShardId shard, const Message& request,
                                      bool received) noexcept = 0;

    protected:
        ~Owner() = default;
    };

    static constexpr std::size_t chunk_bytes = std::size_t{128} << 10;
    static constexpr std::uint64_t bytes_per_second_default = std::uint64_t{64} << 20;
    /// A transfer that may come too late (Snapshots::urgent) goes so many times faster: it costs
    /// less than another one.
    static constexpr std::uint64_t urgent_factor = 4;
    /// A write of the log that takes longer makes a transfer wait.
    static constexpr Duration slow_sync = 20ms;
    /// So long for a chunk at most: a disk that is always slow is no reason not to get on.
    static constexpr Duration slow_wait_max = 200ms;
    /// After a failure.
    static constexpr Duration retry_pause = 250ms;
    /// How long the log behind what was sent is kept: for an answer, and for a transfer that broke
    /// after it had got on, as long as the receiver keeps what it has.
    static constexpr Duration answer_within = 2s;
    static constexpr Duration resume_within = 60s;
    /// How long a transfer waits for a snapshot that takes the place of a stale one, if all goes
    /// well.
    static constexpr Duration fresh_within = 60s;
    static constexpr Duration fresh_check_period = 50ms;

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
        std::uint64_t damaged = 0;  ///< of those, because of the file
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
    /// A file that is being sent.
    struct Source {
        ShardId shard;
        std::string path;
        LogPosition position;
        io::File file;
        std::uint64_t size = 0;
    };
    io::Task<void> await_fresh(ShardId shard);
    // Error `damaged`: the file.
    io::Task<Status> send_to(const Asked* asked, const Snapshots::File* place);
    io::Task<Status> send_file(const Asked* asked, Source* source);
    io::Task<Status> send_frames(const Source* source, std::uint64_t offset);
    io::Task<Status> send_chunks(Bytes bytes, std::uint64_t offset);
    io::Task<Status> read(const Source* source, std::uint64_t offset, MutableBytes to);
    void report(const Asked& asked, const Error& error);

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
