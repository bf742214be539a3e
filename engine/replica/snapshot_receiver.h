#pragma once

/// SnapshotReceiver: takes a snapshot that the leader of a group sends, one at a time on each core.
/// What arrives is verified frame by frame, loaded into a store beside the one that serves, and
/// written to a file of this node's own: the frames are the sender's, sealed for this data
/// directory. So nothing is read twice, and the slices are those in which it arrives. When all is
/// there and durable under its name, the owner installs it. A connection that breaks leaves what
/// was taken for the next one of the same transfer, for a while. Owner core only; a part of the
/// ReplicaSet.
///
/// Who is refused because another one is served tries again, and gets its turn by when it was
/// refused first: nobody is passed over by who happens to come earlier. One whose connection broke
/// after it had got on is next, so that what has arrived is not given up for another one.

#include <deque>
#include <memory>

#include "consensus/drive/snapshot_link.h"
#include "engine/replica/snapshots.h"
#include "engine/snapshot/reader.h"

namespace kv {

class SnapshotReceiver {
public:
    /// A snapshot that is complete, and its file durable.
    struct Complete {
        ShardId shard;
        Message request;
        snapshot::Head head;
        Configuration configuration;
        std::uint64_t bytes = 0;
        Store* store = nullptr;
    };
    class Owner {
    public:
        /// A request of another node, as any message.
        virtual void on_snapshot_request(const Message& request) = 0;
        /// Whether the group still wants what ends at `index`.
        virtual bool wants_snapshot(ShardId shard, Index index) const noexcept = 0;
        /// False: it is not needed any more, and its file goes.
        virtual bool install(const Complete& complete) = 0;

    protected:
        ~Owner() = default;
    };

    /// What a broken connection left is kept so long.
    static constexpr Duration resume_within = 60s;
    static constexpr std::size_t reclaim_per_turn = 4096;
    /// Who was refused and has not come again for so long loses its turn: more than a sender pauses
    /// (SnapshotSender::retry_pause).
    static constexpr Duration turn_within = 1s;
    /// Of callers that are refused; more of them get their turn by chance.
    static constexpr std::size_t refused_max = 256;

    SnapshotReceiver(io::Reactor& reactor, Snapshots& snapshots,
                     const std::vector<std::unique_ptr<Replica>>& replicas, Slab& slab,
                     std::uint64_t hash_secret, NodeId self, Owner& owner);
    SnapshotReceiver(const SnapshotReceiver&) = delete;
    ~SnapshotReceiver();

    void set_routes(consensus::SnapshotRoutes* routes) noexcept { routes_ = routes; }
    /// Takes over a connection of purpose `snapshot` that the acceptor found in order.
    void adopt(std::int32_t fd, const Handshake& theirs);
    /// GroupOwner::receive_snapshot.
    void offered(const Message& offer) { offer_ = offer; }
    io::Task<void> stop();

    struct Counters {
        std::uint64_t installed = 0;
        std::uint64_t resumed = 0;
        std::uint64_t failed = 0;
        std::uint64_t bytes = 0;  ///< of frames that were taken
    };
    const Counters& counters() const noexcept { return counters_; }
    /// Bytes of the one that is arriving, as far as they are taken.
    std::uint64_t bytes_taken() const noexcept;

private:
    class Incoming;
    struct ExpireTimer : io::Timer {
        explicit ExpireTimer(SnapshotReceiver& r) noexcept
            : Timer([](io::Timer& timer) noexcept {
                  static_cast<ExpireTimer&>(timer).receiver.expire();
              }),
              receiver(r) {}
        SnapshotReceiver& receiver;
    };
    /// Cores of one node send at the same time, each of other shards.
    struct Caller {
        NodeId node;
        ShardId shard;
        bool operator==(const Caller&) const noexcept = default;
    };
    struct Refused {
        Caller caller;
        Instant last;
    };
    static Caller caller_of(const Handshake& theirs) noexcept {
        return {theirs.node, ShardId(theirs.core.value())};
    }
    bool has_turn(const Caller& caller);
    void note_refused(const Caller& caller);
    io::Task<void> serve();
    io::Task<Status> take(consensus::SnapshotLink* link);
    io::Task<Status> begin(const SnapshotBegin* begin);
    io::Task<Status> take_chunks(consensus::SnapshotLink* link, std::uint64_t snapshot);
    io::Task<Status> finish(const SnapshotBegin* begin);
    io::Task<void> discard();
    io::Task<void> turn_away(std::unique_ptr<consensus::SnapshotLink> link);
    void expire();

    io::Reactor& reactor_;
    Snapshots& snapshots_;
    const std::vector<std::unique_ptr<Replica>>& replicas_;
    Slab& slab_;
    const std::uint64_t hash_secret_;
    const NodeId self_;
    Owner& owner_;
    consensus::SnapshotRoutes* routes_ = nullptr;
    std::unique_ptr<consensus::SnapshotLink> link_;  ///< that is being served
    std::unique_ptr<Incoming> incoming_;
    ExpireTimer expire_timer_;      ///< while incoming_ waits for another connection
    std::deque<Refused> refused_;   ///< by when they were first
    std::optional<Message> offer_;  ///< the newest that its group wants
    io::Event ended_;
    consensus::LogRate log_rate_;
    bool serving_ = false;  ///< a coroutine of this is under way
    bool stopping_ = false;
    Counters counters_;
};

}  // namespace kv
