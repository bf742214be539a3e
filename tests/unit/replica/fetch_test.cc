/// A follower that fell behind gets what it missed from the log on the leader's disk.

#include <gtest/gtest.h>

#include "engine/replica/log_index.h"
#include "tests/support/replica_cluster.h"

namespace kv {
namespace {

constexpr ShardId a(0);
constexpr ShardId b(1);

wal::BatchPlace place(std::uint64_t segment, std::uint64_t offset) {
    return {SegmentSeq(segment), offset};
}

TEST(LogIndex, MarksAreASpacingApartAndInEachSegment) {
    LogIndex index(2);
    EXPECT_FALSE(index.find(a, Index(1)));
    for (std::uint64_t i = 1; i <= 100; ++i) index.entry(a, Index(i), place(1, 4096 * i));
    index.entry(a, Index(101), place(2, 4096));
    index.entry(b, Index(5), place(2, 8192));
    EXPECT_EQ(index.marks(a), 3u);
    EXPECT_EQ(index.find(a, Index(1))->place, place(1, 4096));
    EXPECT_EQ(index.find(a, Index(64))->last, Index(64));
    EXPECT_EQ(index.find(a, Index(65))->place, place(1, std::uint64_t{65} * 4096));
    EXPECT_EQ(index.find(a, Index(100))->last, Index(100));
    EXPECT_EQ(index.find(a, Index(101))->place, place(2, 4096));
    EXPECT_FALSE(index.find(a, Index(102)));
    EXPECT_FALSE(index.find(b, Index(4)));
    EXPECT_EQ(index.find(b, Index(5))->last, Index(5));
    index.released(SegmentSeq(2));
    EXPECT_FALSE(index.find(a, Index(100)));
    EXPECT_TRUE(index.find(a, Index(101)));
    index.reset(a);
    EXPECT_FALSE(index.find(a, Index(101)));
}

TEST(LogIndex, WhatIsReplacedIsFoundAtItsNewPlace) {
    LogIndex index(1);
    for (std::uint64_t i = 1; i <= 10; ++i) index.entry(a, Index(i), place(1, 4096 * i));
    index.entry(a, Index(7), place(1, std::uint64_t{11} * 4096));
    EXPECT_EQ(index.find(a, Index(6))->place, place(1, 4096));
    EXPECT_EQ(index.find(a, Index(6))->last, Index(6));
    EXPECT_EQ(index.find(a, Index(7))->place, place(1, std::uint64_t{11} * 4096));
    EXPECT_FALSE(index.find(a, Index(8)));
}

TEST(LogIndex, MemoryIsBoundedHoweverLongTheLog) {
    LogIndex index(1);
    std::uint64_t number = 0;
    for (std::uint64_t segment = 1; segment <= 100; ++segment) {
        for (std::uint64_t i = 0; i < 200; ++i) {
            index.entry(a, Index(++number), place(segment, i * LogIndex::spacing_min));
        }
    }
    EXPECT_LE(index.marks(a), LogIndex::marks_max);
    for (std::uint64_t i = 1; i <= number; i += 97) {
        const auto found = index.find(a, Index(i));
        ASSERT_TRUE(found) << i;
        EXPECT_EQ(found->place.segment.value(), 1 + (i - 1) / 200);
        EXPECT_GE(found->last, Index(i));
    }
    for (std::uint64_t segment = 101; segment <= 10'000; ++segment) {
        index.entry(a, Index(++number), place(segment, 4096));
    }
    EXPECT_LE(index.marks(a), LogIndex::marks_max);
    EXPECT_FALSE(index.find(a, Index(1)));
    EXPECT_TRUE(index.find(a, Index(number)));
}

/// A log of its own, and what a fetch from it brings.
class FetchScene final : private wal::WalClient, private LogFetcher::Owner {
public:
    FetchScene() : world_(1), process_(with_disk(world_), NodeId(1)) {
        wal::WalOptions options;
        options.directory = "data/wal";
        options.store = {1, 1};
        options.epoch = Epoch(1);
        options.segment_bytes = std::uint64_t{64} << 10;
        wal::WalClient& client = *this;
        LogFetcher::Owner& owner = *this;
        wal_ = std::make_unique<wal::Wal>(process_.reactor(), std::move(options), client);
        fetcher_ = std::make_unique<LogFetcher>(process_.reactor(), *wal_, index_, owner);
    }
    ~FetchScene() { process_.kill(); }

    /// Entries, each of its term and index, in one batch.
    void write(std::vector<LogPosition> entries) {
        durable_ = false;
        ASSERT_TRUE(process_.run(write_all(std::move(entries))));
        ASSERT_TRUE(world_.run_until([&] { return durable_; }, 1s));
    }
    /// The terms of what is read of `first` to `last`.
    std::vector<Term> fetch(std::uint64_t first, std::uint64_t last) {
        fetched_.reset();
        consensus::Fetch fetch;
        fetch.to = NodeId(2);
        fetch.number = 1;
        fetch.first = Index(first);
        fetch.last = Index(last);
        fetch.bytes_max = std::size_t{1} << 20;
        fetcher_->ask(a, fetch);
        if (!std::exchange(started_, true)) fetcher_->start();
        EXPECT_TRUE(world_.run_until([&] { return fetched_.has_value(); }, 1s));
        return fetched_.value_or(std::vector<Term>());
    }

private:
    static io::SimWorld& with_disk(io::SimWorld& world) {
        world.add_node(NodeId(1), {"10.0.0.1"});
        world.disk(NodeId(1)).make_directory("data/wal");
        return world;
    }
    io::Task<void> write_all(std::vector<LogPosition> entries) {
        if (!std::exchange(opened_, true)) {
            wal::WalPosition empty;
            const Status opened = co_await wal_->open(std::move(empty));
            EXPECT_TRUE(opened.has_value());
        }
        for (const LogPosition position : entries) {
            std::string bytes(entry_header_bytes + 100, 'x');
            seal_entry({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, GroupId(1),
                       position.term, position.index, 0, EntryKind::commands);
            staged_.push_back(position.index);
            static_cast<void>(wal_->stage(wal::RecordKind::entries, GroupId(1), as_bytes(bytes)));
        }
        wal_->flush();
    }
    void on_placed(wal::Ticket, wal::BatchPlace place) noexcept override { place_ = place; }
    void on_durable(wal::Ticket) noexcept override {
        for (const Index index : std::exchange(staged_, {})) index_.entry(a, index, place_);
        durable_ = true;
    }
    void stage_rotation() noexcept override {}
    void on_failed(const Error& error) noexcept override { ADD_FAILURE() << error.text(); }
    void on_fetched(ShardId, const consensus::Fetch& fetch,
                    std::span<const Entry> entries) noexcept override {
        fetched_.emplace();
        Index next = fetch.first;
        for (const Entry& entry : entries) {
            EXPECT_EQ(entry.index, next);
            next = next.next();
            fetched_->push_back(entry.term);
        }
    }

    io::SimWorld world_;
    io::SimProcess process_;
    std::unique_ptr<wal::Wal> wal_;
    LogIndex index_{1};
    std::unique_ptr<LogFetcher> fetcher_;
    std::vector<Index> staged_;
    wal::BatchPlace place_;
    std::optional<std::vector<Term>> fetched_;
    bool durable_ = false;
    bool opened_ = false;
    bool started_ = false;
};

LogPosition at(std::uint64_t index, std::uint64_t term) {
    return {Term(term), Index(index)};
}

/// While a disk is slow one batch gathers the entries of several leaders.
TEST(LogFetch, OfSeveralLeadersInOneBatchTheLastCounts) {
    FetchScene scene;
    scene.write({at(1, 1), at(2, 1), at(3, 1), at(4, 1),  //
                 at(2, 2), at(3, 2), at(4, 2), at(5, 2),  //
                 at(4, 3)});
    const std::vector<Term> one{Term(1)};
    const std::vector<Term> two{Term(2), Term(2)};
    const std::vector<Term> three{Term(3)};
    EXPECT_EQ(scene.fetch(1, 9), one);  // each up to where another leader's begin
    EXPECT_EQ(scene.fetch(2, 9), two);
    EXPECT_EQ(scene.fetch(4, 9), three);
    EXPECT_TRUE(scene.fetch(5, 9).empty());
}

TEST(LogFetch, WhatWasReplacedTogetherWithEntriesBeforeItIsNotRead) {
    FetchScene scene;
    // 4 of term 1 went with 2; the one in its place is in the next batch.
    scene.write({at(1, 1), at(2, 1), at(3, 1), at(4, 1), at(2, 2), at(3, 2)});
    EXPECT_TRUE(scene.fetch(4, 4).empty());
    scene.write({at(4, 2), at(5, 2)});
    const std::vector<Term> fourth{Term(2)};
    EXPECT_EQ(scene.fetch(4, 4), fourth);
}

std::string value_of(std::uint64_t number) {
    return std::string(8 << 10, static_cast<char>('a' + number % 26));
}

/// Writes more than memory keeps for followers.
void write(ReplicaCluster& cluster, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        cluster.put("key" + std::to_string(i % 100), value_of(i));
        ASSERT_FALSE(testing::Test::HasFailure());
    }
}

TEST(LogFetch, AFollowerThatWasAwayCatchesUpFromRotatedSegments) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        SCOPED_TRACE(seed);
        ReplicaCluster cluster({.seed = seed, .segment_bytes = std::uint64_t{256} << 10});
        for (std::size_t i = 0; i < 3; ++i) cluster.start(i);
        write(cluster, 0, 10);
        const std::size_t leader = cluster.leader();
        const std::size_t away = (leader + 1) % 3;
        cluster.crash(away);
        write(cluster, 10, 900);
        ReplicaNode& node = cluster.node(cluster.leader());
        EXPECT_GT(node.set().log().counters().rotations, 10u);
        EXPECT_GT(node.set().replica(a).group().raft().in_memory(), Index(100));
        cluster.start(away);
        ASSERT_TRUE(cluster.agree());
        EXPECT_GT(node.set().fetcher().counters().entries, 100u);
        EXPECT_EQ(node.set().fetcher().counters().misses, 0u);
        EXPECT_EQ(cluster.get(away, "key99"), value_of(899));
    }
}

TEST(LogFetch, ALeaderThatWasRestartedKnowsItsLog) {
    ReplicaCluster cluster({.segment_bytes = std::uint64_t{256} << 10});
    for (std::size_t i = 0; i < 3; ++i) cluster.start(i);
    write(cluster, 0, 10);
    const std::size_t away = (cluster.leader() + 1) % 3;
    cluster.crash(away);
    write(cluster, 10, 900);
    for (std::size_t i = 0; i < 3; ++i) {
        if (i == away) continue;
        cluster.crash(i, io::Crash::power_lose_all);
        cluster.start(i);
    }
    write(cluster, 900, 910);
    cluster.start(away);
    ASSERT_TRUE(cluster.agree());
    EXPECT_GT(cluster.node(cluster.leader()).set().fetcher().counters().entries, 100u);
    EXPECT_EQ(cluster.get(away, "key99"), value_of(899));
}

/// An entry behind the newest snapshot has rotted on the leader's disk: the follower gets another
/// snapshot, that has it. With the one that is there it would ask for the same entry for ever.
TEST(LogFetch, WhatCannotBeReadComesInANewSnapshot) {
    ReplicaCluster cluster({.segment_bytes = std::uint64_t{256} << 10, .follower_cache_bytes = 0});
    for (std::size_t i = 0; i < 3; ++i) cluster.start(i);
    write(cluster, 0, 10);
    const std::size_t away = (cluster.leader() + 1) % 3;
    ASSERT_TRUE(cluster.agree());
    cluster.crash(away);
    write(cluster, 10, 20);
    for (std::size_t i = 0; i < 3; ++i) {
        if (i == away) continue;
        ASSERT_TRUE(cluster.node(i).set().take_snapshots());
    }
    write(cluster, 20, 300);
    const Index last = cluster.node(cluster.leader()).set().replica(a).group().applied();
    for (std::size_t i = 0; i < 3; ++i) {
        if (i == away) continue;
        ReplicaNode& node = cluster.node(i);
        ASSERT_LT(node.set().replica(a).group().raft().compacted().index, Index(60));
        const wal::Wal& log = node.set().log();
        const SegmentSeq middle((log.first_segment().value() + log.current_segment().value()) / 2);
        io::SimDisk& disk = cluster.world.disk(ReplicaCluster::id(i));
        const std::string path = *log.file_of(middle);
        ASSERT_TRUE(disk.flip_bit(path, disk.visible(path)->size() * 8 / 2));
    }
    cluster.start(away);
    ASSERT_TRUE(cluster.run_until([&] {
        return cluster.node(away).opened().has_value() &&
               cluster.node(away).set().replica(a).group().applied() >= last;
    }));
    EXPECT_TRUE(cluster.agree());
    // The one that was there, and the one that has what cannot be read.
    EXPECT_EQ(cluster.node(away).set().snapshot_receiver().counters().installed, 2u);
    EXPECT_EQ(cluster.get(away, "key99"), value_of(299));
}

/// The bound is one of the core: what a follower misses beyond its share is read from the disk.
TEST(LogFetch, WhatIsKeptInMemoryForFollowersIsSharedByTheGroupsOfACore) {
    ReplicaCluster cluster({.shards = 8, .follower_cache_bytes = std::size_t{512} << 10});
    for (std::size_t i = 0; i < 3; ++i) cluster.start(i);
    std::vector<std::size_t> leaders;
    for (std::uint16_t i = 0; i < 8; ++i) leaders.push_back(cluster.leader(ShardId(i)));
    ReplicaSet& set = cluster.node(leaders[0]).set();
    const std::size_t before = set.buffer_bytes();
    const std::size_t away = (leaders[0] + 1) % 3;
    cluster.crash(away);
    for (std::uint64_t i = 0; i < 800; ++i) {
        const std::string key = "key" + std::to_string(i);
        const ShardId shard = set.placement().shard_of(key);
        const std::size_t leader = cluster.leader(shard);
        ASSERT_TRUE(cluster.run_until([&] { return cluster.try_put(leader, key, value_of(i)); }));
        ASSERT_TRUE(cluster.run_until([&] { return cluster.node(leader).set().pending() == 0; }));
    }
    for (std::size_t i = 0; i < 3; ++i) {
        if (i == away) continue;
        // 6 MiB were written; each group has its share and some buffers of entries to come.
        const ReplicaSet& own = cluster.node(i).set();
        EXPECT_EQ(own.replica(a).group().raft().options().cached_bytes_max, std::size_t{64} << 10);
        EXPECT_LT(own.buffer_bytes(), before + (std::size_t{2} << 20));
    }
    cluster.start(away);
    EXPECT_TRUE(cluster.agree());
}

TEST(LogFetch, AGroupKeepsSomethingForFollowersHoweverManyThereAre) {
    ReplicaCluster cluster({.nodes = 1, .shards = 256, .follower_cache_bytes = 1 << 20});
    cluster.start(0);
    const consensus::RaftOptions& options =
        cluster.node(0).set().replica(a).group().raft().options();
    EXPECT_EQ(options.cached_bytes_max, ReplicaSet::group_cache_bytes_min);
}

TEST(LogFetch, AGroupKnowsWhatItsLogBeginsWith) {
    ReplicaCluster cluster({.nodes = 1,
                            .segment_bytes = std::uint64_t{256} << 10,
                            .limits = {.log_bytes = std::uint64_t{128} << 10, .entries = 0}});
    cluster.start(0);
    write(cluster, 0, 400);
    const consensus::Raft& raft = cluster.node(0).set().replica(a).group().raft();
    ASSERT_TRUE(cluster.run_until([&] { return raft.compacted().index > Index(90); }));
    const SnapshotFacts facts = cluster.node(0).set().snapshot_facts();
    EXPECT_LE(raft.compacted().index, facts.shards[0].index);
    EXPECT_LE(raft.compacted().index, raft.applied_index());
}

}  // namespace
}  // namespace kv
