#include "bin/kv-cli/history.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/temporary_directory.h"

namespace kv::cli {
namespace {

class History : public testing::Test {
protected:
    mode_t permissions() const {
        struct stat found{};
        EXPECT_EQ(stat(path_.c_str(), &found), 0);
        return found.st_mode & 0777u;
    }
    test::TemporaryDirectory directory_;
    std::string path_ = directory_.path() + "/history";
};

TEST_F(History, KeepsWhatWasTypedForItsOwnerAlone) {
    EXPECT_TRUE(load_history(path_).empty());
    append_history(path_, "GET a");
    EXPECT_EQ(permissions(), 0600u);
    append_history(path_, "SET b \"\\x00 c\"");
    EXPECT_EQ(load_history(path_), (std::vector<std::string>{"GET a", "SET b \"\\x00 c\""}));
}

TEST_F(History, ClosesAFileThatWasOpenToAll) {
    std::ofstream(path_) << "GET old\n";
    ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
    append_history(path_, "GET new");
    EXPECT_EQ(permissions(), 0600u);
    EXPECT_EQ(load_history(path_), (std::vector<std::string>{"GET old", "GET new"}));
}

TEST_F(History, LeavesSecretsOut) {
    for (const char* line : {"AUTH secret", "auth user secret", "HELLO 3 AUTH u secret",
                             "hello 2 setname x auth u p", " GET hidden", ""}) {
        append_history(path_, line);
    }
    append_history(path_, "HELLO 3");
    append_history(path_, "SET k auth ");
    EXPECT_EQ(load_history(path_), (std::vector<std::string>{"HELLO 3", "SET k auth "}));
}

TEST_F(History, IsBounded) {
    std::string text;
    for (std::size_t i = 0; i < 2 * history_lines_max - 1; ++i) {
        text += "GET " + std::to_string(i) + "\n";
    }
    std::ofstream(path_) << text;
    const std::vector<std::string> some = load_history(path_);
    ASSERT_EQ(some.size(), history_lines_max);
    EXPECT_EQ(some.back(), "GET " + std::to_string(2 * history_lines_max - 2));
    append_history(path_, "GET last");
    ASSERT_EQ(load_history(path_).size(), history_lines_max);  // and cuts the file
    EXPECT_EQ(permissions(), 0600u);
    std::ifstream file(path_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    ASSERT_EQ(lines.size(), history_lines_max);
    EXPECT_EQ(lines[0], "GET " + std::to_string(history_lines_max));
}

TEST_F(History, WithoutAFileNothingHappens) {
    append_history("", "GET a");
    append_history(directory_.path() + "/no/such/folder", "GET a");
    EXPECT_TRUE(load_history("").empty());
    EXPECT_TRUE(load_history(directory_.path()).empty()) << "a folder";
}

}  // namespace
}  // namespace kv::cli
