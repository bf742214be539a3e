/// kv-cli at a terminal: greeting, prompt, editing, history, completion, hints.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "bin/kv-cli/history.h"
#include "tests/support/fake_server.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace kv {
namespace {

using test::FakeServer;
using test::Outcome;
using test::Spoken;

constexpr bool edits_lines = KV_LIBEDIT == 1;

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

class Terminal : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_NE(std::getenv("KV_CLI"), nullptr) << "run this with meson test";
        // Also so that the history of whoever runs this test stays as it is.
        setenv("KV_CLI_HISTORY", history_.c_str(), 1);
    }
    Outcome talk(const FakeServer& server, std::vector<std::string> args,
                 const std::vector<test::TerminalStep>& steps) {
        args.insert(args.begin(), {"--port", std::to_string(server.port())});
        return test::run_on_terminal(std::getenv("KV_CLI"), args, steps, edits_lines);
    }

    test::TemporaryDirectory directory_;
    std::string history_ = directory_.path() + "/history";
};

/// The key that was asked for comes back in angle brackets.
bool answer_key(Spoken, std::string_view request, std::string& out) {
    const std::string_view key = request.substr(0, request.size() - 1);
    out.append("VALUE <").append(key.substr(std::min<std::size_t>(key.size(), 4))).append(">\n");
    return true;
}

TEST_F(Terminal, GreetsAndPrompts) {
    const FakeServer server(answer_key);
    const Outcome got = talk(server, {},
                             {{"> ", "GET a\n"},
                              {"VALUE <a>", ""},
                              {"> ", "GET b c\n"},
                              {"VALUE <b c>", ""},
                              {"> ", "\4"}});
    EXPECT_TRUE(contains(got.out, "Connected to 127.0.0.1:" + std::to_string(server.port()) +
                                      " (text mode). Type commands (PING, SET k v, GET k, DEL k, "
                                      "KEYS). Ctrl+D to quit."))
        << got.out;
    EXPECT_EQ(got.exit_code, 0) << got.out;
}

TEST_F(Terminal, RespQuotes) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("*2\r\n$3\r\na b\r\n$-1\r\n");
        return true;
    });
    const Outcome got =
        talk(server, {"-r"}, {{"> ", "MGET x y\n"}, {"2) (nil)", ""}, {"> ", "exit\n"}});
    EXPECT_TRUE(contains(got.out, "1) \"a b\"")) << got.out;
    EXPECT_EQ(got.exit_code, 0);
}

TEST_F(Terminal, HelpIsAnsweredHere) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("ERROR asked\n");
        return true;
    });
    const Outcome got =
        talk(server, {}, {{"> ", "help GET\n"}, {"The value of a key.", ""}, {"> ", "quit\n"}});
    EXPECT_FALSE(contains(got.out, "ERROR asked")) << got.out;
    EXPECT_EQ(got.exit_code, 0);
}

TEST_F(Terminal, KeysOfTheEditorEditTheLine) {
    if (!edits_lines) GTEST_SKIP() << "built without libedit";
    const FakeServer server(answer_key);
    // Ctrl-A, Ctrl-D four times, a new beginning; Ctrl-E, a new end; backspace.
    const Outcome got =
        talk(server, {},
             {{"> ", "XYZ middl\1\4\4\4\4GET \5e!\177\n"}, {"VALUE <middle>", ""}, {"> ", "\4"}});
    EXPECT_TRUE(contains(got.out, "VALUE <middle>")) << got.out;
    EXPECT_EQ(got.exit_code, 0);
}

TEST_F(Terminal, HistoryOutlivesTheProgram) {
    if (!edits_lines) GTEST_SKIP() << "built without libedit";
    const FakeServer server(answer_key);
    const Outcome before = talk(server, {},
                                {{"> ", "GET first\n"},
                                 {"VALUE <first>", ""},
                                 {"> ", "GET second\n"},
                                 {"VALUE <second>", ""},
                                 {"> ", "AUTH hunter2\n"},
                                 {"VALUE", ""},
                                 {"> ", "\4"}});
    EXPECT_EQ(cli::load_history(history_), (std::vector<std::string>{"GET first", "GET second"}))
        << before.out;
    // Ctrl-P twice: the line before the last.
    const Outcome got = talk(server, {}, {{"> ", "\20\20\n"}, {"VALUE <first>", ""}, {"> ", "\4"}});
    EXPECT_TRUE(contains(got.out, "VALUE <first>")) << got.out;
    EXPECT_EQ(cli::load_history(history_).back(), "GET first");
}

TEST_F(Terminal, APipeLeavesNoHistory) {
    const FakeServer server(answer_key);
    const Outcome got = test::run_program(std::getenv("KV_CLI"),
                                          {"--port", std::to_string(server.port())}, "GET a\n");
    EXPECT_EQ(got.out, "VALUE <a>\n");
    EXPECT_FALSE(std::ifstream(history_).good());
}

TEST_F(Terminal, TabCompletesAndListsWhatItCannot) {
    if (!edits_lines) GTEST_SKIP() << "built without libedit";
    const FakeServer server(answer_key);
    const Outcome got = talk(server, {},
                             {{"> ", "GE\tkey\n"},
                              {"VALUE <key>", ""},
                              {"> ", "\t"},
                              {"ADDSERVER  DEL  GET  KEYS  PING  REMOVESERVER  SET", ""},
                              {"> ", "G\tx\n"},
                              {"VALUE <x>", ""},
                              {"> ", "\4"}});
    EXPECT_TRUE(contains(got.out, "VALUE <x>")) << got.out;
    EXPECT_EQ(got.exit_code, 0);
}

TEST_F(Terminal, TheArgumentsToComeStandOnTheRight) {
    if (!edits_lines) GTEST_SKIP() << "built without libedit";
    const FakeServer server(answer_key);
    const Outcome got = talk(server, {},
                             {{"> ", "ADDSERVER "},
                              {"id host raft_port client_port", "1\n"},
                              {"VALUE", ""},
                              {"> ", "\4"}});
    EXPECT_TRUE(contains(got.out, "VALUE <")) << got.out;
    EXPECT_EQ(got.exit_code, 0);
}

TEST_F(Terminal, TheServersOwnCommandsAreOffered) {
    if (!edits_lines) GTEST_SKIP() << "built without libedit";
    const FakeServer server([](Spoken, std::string_view request, std::string& out) {
        if (contains(request, "DOCS")) {
            out.append("*2\r\n$9\r\nfrobulate\r\n*2\r\n$7\r\nsummary\r\n$1\r\nF\r\n");
        } else {
            out.append(contains(request, "frobulate") ? "+done\r\n" : "-ERR no\r\n");
        }
        return true;
    });
    const Outcome got = talk(server, {"-r"}, {{"> ", "frob\t\n"}, {"done", ""}, {"> ", "exit\n"}});
    EXPECT_TRUE(contains(got.out, "done")) << got.out;
    EXPECT_EQ(got.exit_code, 0);
}

}  // namespace
}  // namespace kv
