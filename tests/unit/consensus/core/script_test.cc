/// The stories of tests/scripts/raft. KV_REWRITE_SCRIPTS=1 writes what the commands print into the
/// files instead of comparing; then read the difference.

#include "tests/support/script.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kv::consensus {
namespace {

std::vector<std::string> stories() {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(KV_RAFT_SCRIPTS)) {
        if (file.path().extension() == ".txt") names.push_back(file.path().stem().string());
    }
    std::ranges::sort(names);
    return names;
}

class Script : public testing::TestWithParam<std::string> {};

TEST_P(Script, Holds) {
    const std::filesystem::path path =
        std::filesystem::path(KV_RAFT_SCRIPTS) / (GetParam() + ".txt");
    std::ifstream file(path);
    std::stringstream script;
    script << file.rdbuf();
    const std::string played = run_script(script.str());
    EXPECT_EQ(played.find("FAULT"), std::string::npos) << played;
    EXPECT_EQ(played.find("ERROR"), std::string::npos) << played;
    if (std::getenv("KV_REWRITE_SCRIPTS") != nullptr) {
        std::ofstream(path) << played;
        return;
    }
    EXPECT_EQ(played, script.str());
}

INSTANTIATE_TEST_SUITE_P(Raft, Script, testing::ValuesIn(stories()),
                         [](const auto& story) { return story.param; });

}  // namespace
}  // namespace kv::consensus
