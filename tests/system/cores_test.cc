/// The real server with other numbers of cores over the same directory, and --verify on what they
/// leave.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "tests/system/server.h"

namespace kv::test {
namespace {

constexpr int keys = 400;

Args with_cores(const std::string& cores) {
    return {"--set", "reactor.cores=" + cores, "--set", "reactor.cpus=none",
            "--set", "wal.segment_bytes=16MiB"};
}

std::string key(int number) {
    return "key" + std::to_string(number);
}

void write_keys(Server& server, const std::string& value) {
    Wire wire(server.port());
    for (int i = 0; i < keys; ++i) {
        ASSERT_EQ(wire.ask("SET " + key(i) + " " + value + std::to_string(i) + "\n"), "OK\n");
    }
}

void expect_keys(Server& server, const std::string& value) {
    EXPECT_EQ(server.start_field("keys"), std::to_string(keys));
    Wire wire(server.port());
    for (int i = 0; i < keys; ++i) {
        ASSERT_EQ(wire.ask("GET " + key(i) + "\n"), "VALUE " + value + std::to_string(i) + "\n");
    }
}

/// The files of the log that are there, each by its generation.
std::size_t files_of_generation(const std::string& data_dir, std::string_view generation) {
    std::size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(data_dir + "/wal")) {
        count += file.path().filename().string().starts_with(generation) ? 1 : 0;
    }
    return count;
}

TEST(Cores, AnotherNumberOfThemFindsAllThatWasWritten) {
    const TemporaryDirectory scratch;
    const std::string data = scratch / "data";
    {
        Server server(data, with_cores("2"));
        ASSERT_TRUE(server.ready());
        EXPECT_EQ(server.start_field("cores"), "2");
        write_keys(server, "a");
        server.kill();
    }
    {
        Server server(data, with_cores("1"));
        ASSERT_TRUE(server.ready());
        EXPECT_TRUE(contains(server.process().log(),
                             "the log of 2 cores is brought into a new generation for 1"));
        expect_keys(server, "a");
        write_keys(server, "b");
        EXPECT_EQ(server.stop(), 0);
    }
    EXPECT_EQ(files_of_generation(data, "g0001"), 0u);
    {
        Server server(data, with_cores("3"));
        ASSERT_TRUE(server.ready());
        expect_keys(server, "b");
        server.kill();
    }
    EXPECT_EQ(files_of_generation(data, "g0002"), 0u);
    EXPECT_GT(files_of_generation(data, "g0003"), 0u);
    Server server(data, with_cores("3"));
    ASSERT_TRUE(server.ready());
    EXPECT_FALSE(contains(server.process().log(), "new generation"));
    expect_keys(server, "b");
    EXPECT_EQ(server.stop(), 0);
}

void flip_byte(const std::string& path, std::streamoff offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const int byte = file.get();
    file.seekp(offset);
    file.put(static_cast<char>(byte ^ 1));
    ASSERT_TRUE(file.good()) << path;
}

/// Every file below `directory` with its content.
std::map<std::string, std::string> content_of(const std::string& directory) {
    std::map<std::string, std::string> content;
    for (const auto& file : std::filesystem::recursive_directory_iterator(directory)) {
        if (!file.is_regular_file()) continue;
        std::ifstream in(file.path(), std::ios::binary);
        content[file.path()] = std::string(std::istreambuf_iterator<char>(in), {});
    }
    return content;
}

std::string first_file(const std::string& directory) {
    std::string first;
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
        const std::string path = file.path();
        if (first.empty() || path < first) first = path;
    }
    return first;
}

TEST(Verify, SaysWhatIsThereAndWhatIsDamagedAndChangesNothing) {
    const TemporaryDirectory scratch;
    const std::string data = scratch / "data";
    Args args = with_cores("2");
    args.insert(args.end(), {"--set", "snapshot.interval_entries=20"});
    {
        Server server(data, args);
        ASSERT_TRUE(server.ready());
        write_keys(server, "a");
        const Outcome busy = run_server({"--verify", data});
        EXPECT_EQ(busy.exit_code, 1);
        EXPECT_TRUE(contains(busy.err, "is in use by another process")) << busy.err;
        server.kill();
    }
    const auto before = content_of(data);
    const Outcome crashed = run_server({"--verify", data});
    EXPECT_EQ(crashed.exit_code, 0) << crashed.out << crashed.err;
    EXPECT_TRUE(contains(crashed.out, "log of core 1: right")) << crashed.out;
    EXPECT_TRUE(contains(crashed.out, "never acknowledged")) << crashed.out;
    EXPECT_TRUE(contains(crashed.out, ".snap: right")) << crashed.out;
    EXPECT_TRUE(contains(crashed.out, "nothing is damaged")) << crashed.out;
    EXPECT_TRUE(before == content_of(data));
    {
        Server server(data, args);
        ASSERT_TRUE(server.ready());
        expect_keys(server, "a");
        EXPECT_EQ(server.stop(), 0);
    }
    const Outcome clean = run_server({"--verify", data});
    EXPECT_EQ(clean.exit_code, 0) << clean.out << clean.err;
    EXPECT_TRUE(contains(clean.out, "stopped cleanly")) << clean.out;

    const std::string segment = first_file(data + "/wal");
    const std::string snapshot = first_file(data + "/snapshots");
    flip_byte(segment, 4096 + 100);
    flip_byte(snapshot, 4096 + 50);
    const Outcome damaged = run_server({"--verify", data});
    EXPECT_EQ(damaged.exit_code, 3);
    EXPECT_TRUE(contains(damaged.out, segment + " is damaged at offset 4096")) << damaged.out;
    EXPECT_TRUE(contains(damaged.out, snapshot)) << damaged.out;
    EXPECT_TRUE(contains(damaged.out, "2 cannot be read")) << damaged.out;
    flip_byte(segment, 4096 + 100);
    flip_byte(snapshot, 4096 + 50);
    EXPECT_EQ(run_server({"--verify", data}).exit_code, 0);
}

TEST(Verify, TellsADirectoryThatIsNoneOrAnothers) {
    const TemporaryDirectory scratch;
    const Outcome none = run_server({"--verify", scratch / "none"});
    EXPECT_EQ(none.exit_code, 1);
    EXPECT_TRUE(contains(none.err, scratch / "none")) << none.err;
    EXPECT_TRUE(contains(none.err, "node.data_dir")) << none.err;
    for (const char* name : {"mine", "other"}) {
        Server server(scratch / name, with_cores("1"));
        ASSERT_TRUE(server.ready());
        EXPECT_EQ(server.stop(), 0);
    }
    std::filesystem::remove_all(scratch / "mine/wal");
    std::filesystem::rename(scratch / "other/wal", scratch / "mine/wal");
    const Outcome foreign = run_server({"--verify", scratch / "mine"});
    EXPECT_EQ(foreign.exit_code, 4) << foreign.out << foreign.err;
}

}  // namespace
}  // namespace kv::test
