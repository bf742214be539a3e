/// `meson install`: what was installed is found where the unit looks for it, and runs.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/system/server.h"

namespace kv::test {
namespace {

namespace fs = std::filesystem;

std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/// The only file of that name below `root`.
std::string find(const std::string& root, const std::string& name) {
    std::string found;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
        if (entry.path().filename() == name) found = entry.path();
    }
    EXPECT_FALSE(found.empty()) << name;
    return found;
}

class Install : public testing::Test {
protected:
    void SetUp() override { install(); }
    void install() {
        RunningProgram meson("meson", {"install", "-C", program("KV_BUILD"), "--no-rebuild",
                                       "--destdir", root, "--skip-subprojects"});
        ASSERT_EQ(meson.wait(std::chrono::minutes(2)), 0) << meson.out() << meson.log();
    }

    TemporaryDirectory directory;
    const std::string root = directory / "root";
};

TEST_F(Install, TheUnitStartsTheServerThatIsThereWithItsConfiguration) {
    const std::string unit = read(find(root, "kv-server.service"));
    const std::string start = "\nExecStart=";
    const std::size_t at = unit.find(start);
    ASSERT_NE(at, unit.npos) << unit;
    std::istringstream line(unit.substr(at + start.size(), unit.find('\n', at + 1) - at));
    std::string server;
    std::string flag;
    std::string config;
    line >> server >> flag >> config;
    EXPECT_EQ(flag, "--config");
    RunningProgram check(root + server, {"--config", root + config, "--check-config"});
    EXPECT_EQ(check.wait(), 0) << check.out() << check.log();
    EXPECT_TRUE(contains(read(root + config), "\ndata_dir = \"/var/lib/kv-server\"\n"));
    EXPECT_EQ(unit.find('@'), unit.find("@system-service")) << "a path was not filled in";

    for (const char* name : {"kv-cli", "kv-bench"}) {
        RunningProgram version(fs::path(root + server).parent_path() / name, {"--version"});
        EXPECT_EQ(version.wait(), 0) << name << version.log();
    }
    for (const char* name : {"monitoring.md", "alerts.yml", "kv-store.json"}) find(root, name);
}

TEST_F(Install, AConfigurationThatSomebodyHasChangedStays) {
    const std::string config = find(root, "kv-server.toml");
    std::ofstream(config) << "# mine\n";
    install();
    EXPECT_EQ(read(config), "# mine\n");
}

TEST_F(Install, SystemdTakesTheUnit) {
    if (RunningProgram("systemd-analyze", {"--version"}).wait() != 0) {
        GTEST_SKIP() << "systemd-analyze is not here";
    }
    const std::string unit = find(root, "kv-server.service");
    // It looks for the program of ExecStart.
    std::string text = read(unit);
    const std::size_t at = text.find("ExecStart=") + 10;
    text.insert(at, root);
    std::ofstream(unit) << text;
    RunningProgram verify("systemd-analyze", {"verify", "--man=no", unit});
    EXPECT_EQ(verify.wait(), 0) << verify.log();
    EXPECT_FALSE(contains(verify.log(), "kv-server.service")) << verify.log();
}

}  // namespace
}  // namespace kv::test
