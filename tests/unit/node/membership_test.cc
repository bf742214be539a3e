// The data directory of one of several nodes: from empty to member, and what pins peers.

#include <gtest/gtest.h>

#include "engine/node/data_directory.h"
#include "io/sim/sim_process.h"
#include "tests/support/sim_server.h"

namespace kv {
namespace {

const NodeId machine(1);
const NodeId self(2);
constexpr auto path = "kv/data";
constexpr auto identity_path = "kv/data/identity";
constexpr auto members_path = "kv/data/members";
const StoreId cluster{0xc0ffee, 3};

/// Of the disk of `node`: the first one is number 77.
StoreId store_of(std::uint64_t node, std::uint64_t number = 77) {
    return {node, number};
}

/// A machine with one data directory, that belongs to node 2 of three.
struct Fixture {
    explicit Fixture(std::uint64_t seed = 1) : world(seed) {
        world.add_node(machine, {"10.0.0.1"});
        disk().make_directory("kv");
    }
    io::SimDisk& disk() { return world.disk(machine); }
    const Identity& identity() const { return directory.identity(); }

    using Work = io::Task<Status> (*)(DataDirectory*);

    static io::Task<void> live(io::Reactor& reactor, Fixture* f, Company company,
                               std::uint16_t cores, std::vector<Work> works,
                               std::optional<Status>* result) {
        Status status = co_await f->directory.open(reactor, path, self, 4, cores, company);
        for (const Work work : works) {
            if (status) status = co_await work(&f->directory);
        }
        co_await f->directory.close();
        *result = status;
    }
    /// A start, `works` one after another up to the first error, and an end in good order. Absent:
    /// it crashed.
    std::optional<Status> run(std::vector<Work> works = {}, Company company = Company::cluster,
                              std::uint16_t cores = 1) {
        io::SimProcess process(world, machine);
        std::optional<Status> result;
        directory = {};
        static_cast<void>(
            process.run(live(process.reactor(), this, company, cores, std::move(works), &result)));
        if (process.dead()) return std::nullopt;
        return result;
    }
    std::string error_of(std::vector<Work> works = {}, Company company = Company::cluster) {
        const std::optional<Status> status = run(std::move(works), company);
        if (!status) return "crash";
        code = *status ? Errc{} : status->error().code;
        return *status ? "" : status->error().text();
    }

    io::SimWorld world;
    DataDirectory directory;
    Errc code{};
};

Configuration three(StoreId own) {
    Configuration nodes;
    for (const std::uint64_t id : {1u, 2u, 3u}) {
        Member member;
        member.node = NodeId(id);
        member.store = member.node == self ? own : store_of(id);
        member.host = "10.0.0." + std::to_string(id);
        nodes.members.push_back(std::move(member));
    }
    return nodes;
}

io::Task<Status> form(DataDirectory* directory) {
    Configuration nodes = three(directory->identity().store);
    co_return co_await directory->form(cluster, std::move(nodes));
}
io::Task<Status> join(DataDirectory* directory) {
    co_return co_await directory->become_member();
}
io::Task<Status> pin_nine(DataDirectory* directory) {
    co_return co_await directory->pin(NodeId(9), store_of(9));
}
io::Task<Status> pin_another_nine(DataDirectory* directory) {
    co_return co_await directory->pin(NodeId(9), store_of(9, 78));
}
io::Task<Status> pin_another_one(DataDirectory* directory) {
    co_return co_await directory->pin(NodeId(1), store_of(1, 78));
}

TEST(Membership, ADirectoryOfSeveralNodesBeginsEmptyAndWithoutACluster) {
    Fixture f;
    EXPECT_EQ(f.error_of(), "");
    EXPECT_TRUE(f.directory.created());
    EXPECT_TRUE(f.directory.is_of_cluster());
    EXPECT_EQ(f.identity().membership, Membership::empty);
    EXPECT_EQ(f.identity().cluster, StoreId{});
    EXPECT_EQ(f.directory.pinned(self), std::nullopt);
    const StoreId store = f.identity().store;
    EXPECT_NE(store, StoreId{});
    EXPECT_EQ(f.error_of(), "");
    EXPECT_FALSE(f.directory.created());
    EXPECT_EQ(f.identity().membership, Membership::empty);
    EXPECT_EQ(f.identity().store, store);
    EXPECT_EQ(f.identity().boot, 2u);
    EXPECT_EQ(f.disk().visible(members_path), std::nullopt);
}

TEST(Membership, EachStepIsDurableBeforeItReturns) {
    Fixture f;
    ASSERT_EQ(f.error_of({form}), "");
    const auto formed = decode_identity(*f.disk().durable(identity_path), "x");
    EXPECT_EQ(formed->membership, Membership::forming);
    EXPECT_EQ(formed->cluster, cluster);
    EXPECT_NE(formed->hash_secret, 0u);
    ASSERT_EQ(f.error_of(), "");
    EXPECT_EQ(f.identity().membership, Membership::forming);
    EXPECT_EQ(f.directory.members().formed, three(f.identity().store));
    EXPECT_EQ(f.directory.pinned(NodeId(1)), store_of(1));
    EXPECT_EQ(f.directory.pinned(self), f.identity().store);
    EXPECT_EQ(f.directory.pinned(NodeId(9)), std::nullopt);

    ASSERT_EQ(f.error_of({join}), "");
    EXPECT_EQ(decode_identity(*f.disk().durable(identity_path), "x")->membership,
              Membership::member);
    ASSERT_EQ(f.error_of({pin_nine}), "");
    EXPECT_EQ(decode_members(*f.disk().durable(members_path), "x")->pins.size(), 4u);
    ASSERT_EQ(f.error_of(), "");
    EXPECT_EQ(f.identity().membership, Membership::member);
    EXPECT_EQ(f.identity().hash_secret, formed->hash_secret);
    EXPECT_EQ(f.directory.pinned(NodeId(9)), store_of(9));
    EXPECT_EQ(f.directory.members().formed, three(f.identity().store));  // as it was
}

TEST(Membership, TheHashSecretIsOfTheCluster) {
    Fixture f(1);
    Fixture g(2);
    ASSERT_EQ(f.error_of({form}), "");
    ASSERT_EQ(g.error_of({form}), "");
    EXPECT_NE(f.identity().store, g.identity().store);
    EXPECT_EQ(f.identity().hash_secret, g.identity().hash_secret);
}

TEST(Membership, AnotherStoreUnderAPinnedIdIsRefusedAndTheSameIsNothingNew) {
    Fixture f;
    ASSERT_EQ(f.error_of({form, join, pin_nine}), "");
    const std::optional<std::string> before = f.disk().visible(members_path);
    EXPECT_EQ(f.error_of({pin_nine, pin_nine}), "");
    for (const auto work : {pin_another_one, pin_another_nine}) {
        EXPECT_NE(f.error_of({work}).find("comes with another data directory than before"),
                  std::string::npos);
        EXPECT_EQ(f.code, Errc::foreign);
    }
    EXPECT_EQ(f.directory.pinned(NodeId(9)), store_of(9));
    EXPECT_EQ(f.disk().visible(members_path), before);
}

io::Task<void> pin_in(DataDirectory* directory, NodeId node, std::vector<Status>* results) {
    Status status = co_await directory->pin(node, store_of(node.value()));
    results->push_back(std::move(status));
}
io::Task<Status> pin_many(DataDirectory* directory) {
    // Handshakes with several nodes at a time.
    Status first;
    for (std::uint64_t id = 10; id < 10 + pins_max - 3; ++id) {
        Status status = co_await directory->pin(NodeId(id), store_of(id));
        if (first && !status) first = std::move(status);
    }
    co_return first;
}

TEST(Membership, PinsAreBounded) {
    Fixture f;
    ASSERT_EQ(f.error_of({form, join, pin_many}), "");
    EXPECT_EQ(f.directory.members().pins.size(), pins_max);
    EXPECT_NE(f.error_of({pin_nine}), "");
    EXPECT_EQ(f.code, Errc::too_large);
}

TEST(Membership, PinsOfTheSameMomentAreAllKept) {
    Fixture f;
    ASSERT_EQ(f.error_of({form, join}), "");
    io::SimProcess process(f.world, machine);
    std::optional<Status> opened;
    std::vector<Status> pinned;
    DataDirectory directory;
    auto open = [](io::Reactor& reactor, DataDirectory* d,
                   std::optional<Status>* out) -> io::Task<void> {
        Status status = co_await d->open(reactor, path, self, 4, 1, Company::cluster);
        *out = std::move(status);
    };
    ASSERT_TRUE(process.run(open(process.reactor(), &directory, &opened)));
    for (const std::uint64_t id : {8u, 6u, 7u}) {
        process.reactor().spawn(pin_in(&directory, NodeId(id), &pinned));
    }
    auto close = [](DataDirectory* d, std::vector<Status>* p) -> io::Task<void> {
        // The last in the queue, so all before it are done.
        Status status = co_await d->pin(NodeId(5), store_of(5));
        p->push_back(std::move(status));
        co_await d->close();
    };
    ASSERT_TRUE(process.run(close(&directory, &pinned)));
    EXPECT_EQ(pinned.size(), 4u);
    for (const Status& status : pinned) EXPECT_TRUE(status);
    const auto stored = decode_members(*f.disk().durable(members_path), "x");
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->pins.size(), 7u);
}

TEST(Membership, ASingleNodesDirectoryAndAClustersAreNotTakenForEachOther) {
    Fixture alone;
    ASSERT_EQ(alone.error_of({}, Company::alone), "");
    EXPECT_EQ(alone.identity().membership, Membership::member);
    EXPECT_FALSE(alone.directory.is_of_cluster());
    EXPECT_NE(alone.error_of().find("belongs to a single node, but [[cluster.nodes]] lists others"),
              std::string::npos);
    EXPECT_EQ(alone.code, Errc::foreign);
    ASSERT_EQ(alone.error_of({}, Company::alone), "");

    Fixture f;
    ASSERT_EQ(f.error_of({form, join}), "");
    EXPECT_NE(f.error_of({}, Company::alone).find("belongs to a node of a cluster"),
              std::string::npos);
    EXPECT_EQ(f.code, Errc::foreign);
    ASSERT_EQ(f.error_of(), "");
}

TEST(Membership, WithoutALogTheNumberOfCoresIsFree) {
    Fixture f;
    for (const std::uint16_t cores : {std::uint16_t{1}, std::uint16_t{4}, std::uint16_t{2}}) {
        ASSERT_TRUE(f.run({}, Company::cluster, cores)->has_value());
        EXPECT_EQ(f.identity().cores(), cores);
    }
    ASSERT_TRUE(f.run({form}, Company::cluster, 2)->has_value());
    ASSERT_TRUE(f.run({join}, Company::cluster, 3)->has_value());
    EXPECT_EQ(f.identity().cores(), 3);
    ASSERT_TRUE(f.run({}, Company::cluster, 1)->has_value());
    EXPECT_EQ(f.identity().cores(), 3);  // there may be a log by now
}

TEST(Membership, MembersThatAreMissingDamagedOrOfAnotherDirectoryAreRefused) {
    Fixture f;
    ASSERT_EQ(f.error_of({form, join}), "");
    const std::string good = *f.disk().visible(members_path);
    ASSERT_TRUE(f.disk().flip_bit(members_path, 100));
    EXPECT_NE(f.error_of().find("kv/data/members is damaged"), std::string::npos);
    EXPECT_EQ(f.code, Errc::damaged);
    for (const std::size_t size : {std::size_t{0}, good.size() - 1, members_bytes_max + 1}) {
        std::string resized = good;
        resized.resize(size);
        f.disk().put(members_path, resized);
        EXPECT_NE(f.error_of().find("is damaged"), std::string::npos) << size;
    }
    ASSERT_TRUE(f.disk().remove(members_path));
    EXPECT_NE(f.error_of().find("kv/data/members is missing: restore it"), std::string::npos);
    EXPECT_EQ(f.code, Errc::damaged);

    Members other = *decode_members(good, "x");
    other.cluster.low ^= 1;
    f.disk().put(members_path, encode_members(other));
    EXPECT_NE(f.error_of().find("are not of one data directory"), std::string::npos);
    other = *decode_members(good, "x");
    other.pins[1].store.low ^= 1;
    f.disk().put(members_path, encode_members(other));
    EXPECT_NE(f.error_of().find("are not of one data directory"), std::string::npos);
    EXPECT_EQ(f.code, Errc::damaged);
    f.disk().put(members_path, good);
    EXPECT_EQ(f.error_of(), "");
}

TEST(Membership, WhatLiesThereBeforeAnythingWasFormedHasNoMeaning) {
    Fixture f;
    ASSERT_EQ(f.error_of(), "");
    f.disk().put(members_path, "left over");
    EXPECT_EQ(f.error_of(), "");
    EXPECT_EQ(f.identity().membership, Membership::empty);
    EXPECT_EQ(f.error_of({form, join}), "");
}

TEST(Membership, AFullDiskFormsNothing) {
    Fixture f;
    ASSERT_EQ(f.error_of(), "");
    static io::SimDisk* disk = nullptr;
    disk = &f.disk();
    const Fixture::Work fill = [](DataDirectory* d) -> io::Task<Status> {
        disk->set_capacity(disk->used_bytes() + 10);
        Status status = co_await form(d);
        co_return status;
    };
    EXPECT_NE(f.error_of({fill}), "");
    EXPECT_EQ(f.code, Errc::no_space);
    f.disk().set_capacity(1_MiB);
    EXPECT_EQ(f.error_of(), "");
    EXPECT_EQ(f.identity().membership, Membership::empty);
    EXPECT_EQ(f.error_of({form, join}), "");
}

/// What a node does next, from whatever its disk says.
io::Task<Status> go_on(DataDirectory* directory) {
    if (directory->identity().membership == Membership::empty) {
        Configuration nodes = three(directory->identity().store);
        KV_CO_CHECK(co_await directory->form(cluster, std::move(nodes)));
    }
    if (directory->identity().membership == Membership::forming) {
        KV_CO_CHECK(co_await directory->become_member());
    }
    co_return co_await directory->pin(NodeId(9), store_of(9));
}

TEST(Membership, ACrashAnywhereLeavesADirectoryThatGoesOn) {
    const auto points_of = [](std::vector<Fixture::Work> works) {
        Fixture f;
        EXPECT_EQ(f.error_of(), "");
        if (!works.empty()) {
            EXPECT_EQ(f.error_of(works), "");
        }
        return f.disk().io_points();
    };
    const std::uint64_t before = points_of({});
    const std::uint64_t points = points_of({go_on});
    ASSERT_GT(points, before + 10);
    std::size_t seen[3] = {};
    for (const io::Crash kind : io::all_crashes) {
        for (std::uint64_t point = before; point < points; ++point) {
            for (std::uint64_t seed = 1; seed <= 3; ++seed) {
                SCOPED_TRACE(testing::Message() << "crash " << static_cast<int>(kind) << " at "
                                                << point << ", seed " << seed);
                Fixture f(seed);
                ASSERT_EQ(f.error_of(), "");
                const StoreId store = f.identity().store;
                f.world.crash_at(machine, point, kind);
                const std::optional<Status> crashed = f.run({go_on});
                if (crashed) continue;  // another seed has fewer points
                const bool had_pinned = f.directory.pinned(NodeId(9)).has_value();
                const bool was_read = f.identity().store == store;
                const Membership told = was_read ? f.identity().membership : Membership::empty;
                ASSERT_EQ(f.error_of(), "");
                const Membership now = f.identity().membership;
                ++seen[static_cast<std::size_t>(now)];
                EXPECT_EQ(f.identity().store, store);
                // What was told to anybody was durable.
                if (told == Membership::forming) {
                    EXPECT_NE(now, Membership::empty);
                }
                if (told == Membership::member) {
                    EXPECT_EQ(now, Membership::member);
                }
                if (had_pinned) {
                    EXPECT_TRUE(f.directory.pinned(NodeId(9)));
                }
                EXPECT_EQ(f.identity().cluster, now == Membership::empty ? StoreId{} : cluster);
                ASSERT_EQ(f.error_of({go_on}), "");
                EXPECT_EQ(f.identity().membership, Membership::member);
                EXPECT_EQ(f.directory.members().formed, three(store));
                if (HasFailure()) return;
            }
        }
    }
    for (const std::size_t times : seen) EXPECT_GT(times, 0u);
}

}  // namespace
}  // namespace kv
