/// A start that must not go well: what kv-server says about its port and its directory, with which
/// exit code, and that it leaves both alone.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/system/mount.h"
#include "tests/system/server.h"

namespace kv::test {
namespace {

/// A server that cannot start: its one line, which `said` stand in, and its exit code.
void expect_refusal(const std::string& data_dir, const Args& args, int exit_code,
                    const std::vector<std::string>& said) {
    Server server(data_dir, args);
    EXPECT_EQ(server.process().wait(), exit_code) << server.process().log();
    const std::string log = server.process().log();
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
    EXPECT_TRUE(contains(log, "level=critical")) << log;
    for (const std::string& text : said) EXPECT_TRUE(contains(log, text)) << text << "\n" << log;
}

/// Leaves a directory with a key in it.
void write_one_key(const std::string& data_dir) {
    Server server(data_dir);
    ASSERT_TRUE(server.ready());
    EXPECT_EQ(Wire(server.port()).ask("SET key value\n"), "OK\n");
    EXPECT_EQ(server.stop(), 0);
}

void expect_one_key(const std::string& data_dir) {
    Server server(data_dir);
    ASSERT_TRUE(server.ready());
    EXPECT_EQ(Wire(server.port()).ask("GET key\n"), "VALUE value\n");
    EXPECT_EQ(server.start_field("keys"), "1");
}

void flip_byte(const std::string& path, std::streamoff offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const int byte = file.get();
    file.seekp(offset);
    file.put(static_cast<char>(byte ^ 1));
    ASSERT_TRUE(file.good()) << path;
}

std::string oldest_segment(const std::string& data_dir) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(data_dir + "/wal")) {
        names.push_back(entry.path());
    }
    return *std::min_element(names.begin(), names.end());
}

TEST(DataDirectory, APortInUseIsSaid) {
    const TemporaryDirectory scratch;
    Server first(scratch / "first");
    ASSERT_TRUE(first.ready());
    expect_refusal(scratch / "second", {"--set", "client.port=" + first.port_text()}, 1,
                   {"127.0.0.1:" + first.port_text(), "Address already in use",
                    "stop what uses the address, or choose another"});
    EXPECT_EQ(Wire(first.port()).ask("PING\n"), "PONG\n");
}

TEST(DataDirectory, AnUnwritableOneIsSaid) {
    const TemporaryDirectory scratch;
    std::ofstream(scratch / "file") << "not a directory";
    expect_refusal(scratch / "file/data", {}, 1,
                   {scratch / "file/data", "Not a directory", "node.data_dir"});
    expect_refusal(scratch / "file", {}, 1, {scratch / "file", "Not a directory", "node.data_dir"});
}

TEST(DataDirectory, TheDirectoriesAboveItAreMadeToo) {
    const TemporaryDirectory scratch;
    write_one_key(scratch / "missing/too/data");
    expect_one_key(scratch / "missing/too/data");
}

TEST(DataDirectory, AReadOnlyDiskIsSaid) {
    const TemporaryDirectory scratch;
    std::filesystem::create_directory(scratch / "disk");
    SmallDisk disk(scratch / "disk", "size=1m");
    if (!disk.mounted() || !disk.make_read_only()) GTEST_SKIP() << "mounting is refused here";
    expect_refusal(scratch / "disk/data", {}, 1,
                   {scratch / "disk/data", "Read-only file system", "node.data_dir"});
}

TEST(DataDirectory, ALockedOneIsSaid) {
    const TemporaryDirectory scratch;
    Server first(scratch / "data");
    ASSERT_TRUE(first.ready());
    expect_refusal(scratch / "data", {}, 1,
                   {"is in use by another process", "choose another directory"});
    EXPECT_EQ(Wire(first.port()).ask("SET key value\n"), "OK\n");
    first.kill();
    expect_one_key(scratch / "data");  // a lock ends with its process
}

TEST(DataDirectory, AForeignOneIsRefusedAndLeftAlone) {
    const TemporaryDirectory scratch;
    write_one_key(scratch / "data");
    expect_refusal(scratch / "data", {"--id", "2"}, 4, {"belongs to node 1", "this is node 2"});
    expect_refusal(scratch / "data", {"--set", "cluster.shards=4"}, 4,
                   {"was made with 16 shards", "cluster.shards is 4", "set it back"});
    expect_one_key(scratch / "data");
}

TEST(DataDirectory, AForeignLogIsRefused) {
    const TemporaryDirectory scratch;
    write_one_key(scratch / "mine");
    write_one_key(scratch / "other");
    std::filesystem::remove_all(scratch / "mine/wal");
    std::filesystem::rename(scratch / "other/wal", scratch / "mine/wal");
    expect_refusal(scratch / "mine", {}, 4, {scratch / "mine/wal/"});
}

TEST(DataDirectory, ADamagedLogIsRefusedWithFileAndOffset) {
    const TemporaryDirectory scratch;
    write_one_key(scratch / "data");
    const std::string segment = oldest_segment(scratch / "data");
    flip_byte(segment, 4096 + 100);  // in the first batch
    expect_refusal(
        scratch / "data", {}, 3,
        {segment, "is damaged at offset 4096", "Restore the file", "move the data directory"});
    flip_byte(segment, 4096 + 100);
    expect_one_key(scratch / "data");
}

TEST(DataDirectory, ADamagedOrMissingIdentityIsRefused) {
    const TemporaryDirectory scratch;
    write_one_key(scratch / "data");
    const std::string identity = scratch / "data/identity";
    flip_byte(identity, 64);
    expect_refusal(scratch / "data", {}, 3, {identity, "is damaged", "restore it"});
    flip_byte(identity, 64);
    std::filesystem::rename(identity, scratch / "aside");
    expect_refusal(scratch / "data", {}, 3, {identity, "is missing", "restore it"});
    std::ofstream(identity).close();
    expect_refusal(scratch / "data", {}, 3, {identity, "is damaged"});
    std::filesystem::rename(scratch / "aside", identity);
    expect_one_key(scratch / "data");
}

TEST(DataDirectory, WhatDoesNotBelongThereIsPassedOver) {
    const TemporaryDirectory scratch;
    write_one_key(scratch / "data");
    std::ofstream(scratch / "data/notes.txt") << "mine";
    std::ofstream(scratch / "data/wal/garbage") << "mine";
    std::ofstream(scratch / "data/identity.tmp") << "half";
    std::filesystem::create_directory(scratch / "data/lost+found");
    expect_one_key(scratch / "data");
    EXPECT_TRUE(std::filesystem::exists(scratch / "data/wal/garbage"));
}

}  // namespace
}  // namespace kv::test
