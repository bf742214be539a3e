#include "engine/node/data_directory.h"

#include <gtest/gtest.h>

#include "io/sim/sim_process.h"
#include "proto/base/bytes.h"
#include "proto/base/checksum.h"
#include "tests/support/sim_server.h"

namespace kv {
namespace {

const NodeId machine(1);
constexpr auto path = "kv/data";
constexpr auto identity_path = "kv/data/identity";

struct Fixture {
    explicit Fixture(std::uint64_t seed = 1) : world(seed) {
        world.add_node(machine, {"10.0.0.1"});
    }

    static io::Task<void> open_in(io::Reactor& reactor, DataDirectory* directory, NodeId node,
                                  std::uint32_t shards, std::optional<Status>* result) {
        const Status opened = co_await directory->open(reactor, path, node, shards, 1);
        *result = opened;
    }
    static io::Task<void> close_in(DataDirectory* directory) { co_await directory->close(); }

    /// In a process of its own that ends in good order. Absent: it crashed.
    std::optional<Status> open(NodeId node = NodeId(7), std::uint32_t shards = 4) {
        io::SimProcess process(world, machine);
        return open_on(process, node, shards);
    }
    std::optional<Status> open_on(io::SimProcess& process, NodeId node, std::uint32_t shards) {
        std::optional<Status> result;
        directory = {};
        static_cast<void>(
            process.run(open_in(process.reactor(), &directory, node, shards, &result)));
        if (process.dead()) return std::nullopt;
        const bool closed = process.run(close_in(&directory));
        if (process.dead()) return std::nullopt;
        EXPECT_TRUE(closed);
        return result;
    }
    Errc error_of_open(NodeId node = NodeId(7), std::uint32_t shards = 4) {
        const std::optional<Status> result = open(node, shards);
        if (!result || *result) return Errc::canceled;
        message = result->error().text();
        return result->error().code;
    }
    io::SimDisk& disk() { return world.disk(machine); }

    io::SimWorld world;
    DataDirectory directory;
    std::string message;
};

TEST(DataDirectory, ANewOneIsMadeAndReopenedWithOneMoreBoot) {
    Fixture f;
    for (std::uint64_t boot = 1; boot <= 4; ++boot) {
        const std::optional<Status> opened = f.open();
        ASSERT_TRUE(opened && *opened);
        EXPECT_EQ(f.directory.created(), boot == 1);
        EXPECT_EQ(f.directory.identity().boot, boot);
        EXPECT_EQ(f.directory.identity().node, NodeId(7));
        EXPECT_EQ(f.directory.identity().shards, 4u);
        EXPECT_EQ(f.directory.wal_directory(), "kv/data/wal");
        const std::optional<std::string> stored = f.disk().durable(identity_path);
        ASSERT_TRUE(stored);
        EXPECT_EQ(*stored, encode_identity(f.directory.identity()));
    }
    EXPECT_NE(f.directory.identity().store, StoreId{});
    EXPECT_NE(f.directory.identity().cluster, f.directory.identity().store);
    EXPECT_NE(f.directory.identity().hash_secret, 0u);
}

TEST(DataDirectory, IsFoundInUseWhileAnotherProcessHasIt) {
    Fixture f;
    io::SimProcess first(f.world, machine);
    DataDirectory held;
    std::optional<Status> result;
    ASSERT_TRUE(first.run(Fixture::open_in(first.reactor(), &held, NodeId(7), 4, &result)));
    ASSERT_TRUE(result && *result);
    // A second descriptor meets the lock like a second process does.
    DataDirectory second;
    ASSERT_TRUE(first.run(Fixture::open_in(first.reactor(), &second, NodeId(7), 4, &result)));
    ASSERT_TRUE(result && !*result);
    EXPECT_EQ(result->error().code, Errc::locked);
    EXPECT_NE(result->error().text().find("in use by another process"), std::string::npos);
    ASSERT_TRUE(first.run(Fixture::close_in(&second)));
    ASSERT_TRUE(first.run(Fixture::close_in(&held)));
    const std::optional<std::string> stored = f.disk().visible(identity_path);
    EXPECT_EQ(decode_identity(*stored, "x")->boot, 1u);  // the refused one counted nothing
}

TEST(DataDirectory, BelongsToOneNodeAndOneNumberOfShards) {
    Fixture f;
    ASSERT_TRUE(f.open().value().has_value());
    EXPECT_EQ(f.error_of_open(NodeId(8), 4), Errc::foreign);
    EXPECT_NE(f.message.find("belongs to node 7, but this is node 8"), std::string::npos);
    EXPECT_EQ(f.error_of_open(NodeId(7), 5), Errc::foreign);
    EXPECT_NE(f.message.find("made with 4 shards, but cluster.shards is 5"), std::string::npos);
    EXPECT_TRUE(f.open().value().has_value());
    EXPECT_EQ(f.directory.identity().boot, 2u);
}

TEST(DataDirectory, ADamagedIdentityIsRefusedWhicheverByteIt) {
    Fixture f;
    ASSERT_TRUE(f.open().value().has_value());
    const std::string good = *f.disk().visible(identity_path);
    for (std::size_t byte = 0; byte < good.size(); ++byte) {
        for (const int flip : {0x01, 0x80, 0xff}) {
            std::string bad = good;
            bad[byte] = static_cast<char>(bad[byte] ^ flip);
            const Result<Identity> decoded = decode_identity(bad, "x");
            ASSERT_FALSE(decoded.has_value()) << "byte " << byte;
            EXPECT_EQ(decoded.error().code, Errc::damaged) << "byte " << byte;
        }
        if (byte % 16 != 0) continue;
        ASSERT_TRUE(f.disk().flip_bit(identity_path, byte * 8 + byte % 8));
        ASSERT_EQ(f.error_of_open(), Errc::damaged) << "byte " << byte;
        ASSERT_TRUE(f.disk().flip_bit(identity_path, byte * 8 + byte % 8));
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_EQ(decode_identity(good.substr(0, size), "x").error().code, Errc::damaged);
    }
    EXPECT_TRUE(f.open().value().has_value());
    for (const std::size_t size : {0u, 128u, 4095u, 4097u, 8192u, 8193u, 5000u}) {
        std::string resized = good;
        resized.resize(size);
        f.disk().put(identity_path, resized);
        EXPECT_EQ(f.error_of_open(), Errc::damaged) << size << " bytes";
    }
}

TEST(DataDirectory, WhatANewerVersionWroteIsForeignAndNotDamaged) {
    struct Case {
        const char* name;
        std::size_t at;
        char value;
    };
    const Case cases[] = {{"version 3", 8, 3},
                          {"version 1", 8, 1},
                          {"version 0", 8, 0},
                          {"feature 1", 72, 2},
                          {"feature 63", 79, '\x80'}};
    for (const Case& c : cases) {
        Fixture f;
        ASSERT_TRUE(f.open().value().has_value());
        std::string bytes = *f.disk().visible(identity_path);
        bytes[c.at] = c.value;
        const std::string_view summed = std::string_view(bytes).substr(0, identity_bytes - 8);
        store_le<std::uint64_t>(bytes.data() + identity_bytes - 8, checksum(as_bytes(summed)));
        f.disk().put(identity_path, bytes);
        EXPECT_EQ(f.error_of_open(), Errc::foreign) << c.name;
        EXPECT_EQ(f.disk().visible(identity_path), bytes) << c.name;  // untouched
    }
}

TEST(DataDirectory, ALogWithoutItsIdentityIsNotStartedOver) {
    Fixture f;
    ASSERT_TRUE(f.open().value().has_value());
    f.disk().put("kv/data/wal/0000000001-00-0000000001.wal", "log");
    ASSERT_TRUE(f.disk().remove(identity_path));
    EXPECT_EQ(f.error_of_open(), Errc::damaged);
    EXPECT_NE(f.message.find("restore it from a backup"), std::string::npos);
    EXPECT_EQ(f.disk().visible(identity_path), std::nullopt);
}

TEST(DataDirectory, ACrashAnywhereInOpenLeavesADirectoryThatOpens) {
    const auto points_of = [](int opens) {
        Fixture f;
        for (int i = 0; i < opens; ++i) EXPECT_TRUE(f.open().value().has_value());
        return f.disk().io_points();
    };
    // The first open, which makes it, and the second, which replaces the identity.
    const std::uint64_t made = points_of(1);
    const std::uint64_t points = points_of(2);
    ASSERT_GT(made, 10u);
    std::uint64_t crashes = 0;
    for (const io::Crash kind : io::all_crashes) {
        for (std::uint64_t point = 0; point < points; ++point) {
            for (std::uint64_t seed = 1; seed <= 3; ++seed) {
                SCOPED_TRACE(testing::Message() << "crash " << static_cast<int>(kind) << " at "
                                                << point << ", seed " << seed);
                Fixture f(seed);
                f.world.crash_at(machine, point, kind);
                std::uint64_t boots = 0;
                std::optional<StoreId> store;
                for (int i = 0; i < 4; ++i) {
                    const std::optional<Status> opened = f.open();
                    if (!opened) {
                        ++crashes;
                        continue;
                    }
                    ASSERT_TRUE(opened->has_value()) << opened->error().text();
                    const Identity& identity = f.directory.identity();
                    EXPECT_GT(identity.boot, boots);  // no epoch is used twice
                    boots = identity.boot;
                    if (store) {
                        EXPECT_EQ(identity.store, *store);
                    }
                    store = identity.store;
                }
                if (HasFailure()) return;
            }
        }
    }
    EXPECT_GT(crashes, points);
}

TEST(DataDirectory, AFullDiskIsSaidAndNothingIsLost) {
    Fixture f;
    ASSERT_TRUE(f.open().value().has_value());
    f.disk().set_capacity(f.disk().used_bytes() + 10);
    EXPECT_EQ(f.error_of_open(), Errc::no_space);
    f.disk().set_capacity(1_MiB);
    EXPECT_TRUE(f.open().value().has_value());
}

}  // namespace
}  // namespace kv
