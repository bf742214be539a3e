#include "bin/kv-cli/commands.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bin/kv-cli/command_docs.h"

namespace kv::cli {
namespace {

using client::Mode;

client::Reply read(std::string_view bytes) {
    client::ReplyReader reader(Mode::resp);
    reader.append(bytes);
    auto reply = reader.next();
    EXPECT_TRUE(reply.has_value() && reply->has_value()) << bytes;
    return reply && *reply ? **std::move(reply) : client::Reply{};
}

/// "inserted" or "inserted?choice,choice".
std::string completed(const CommandTable& table, std::string_view line) {
    const Completion found = table.complete(line);
    std::string out = found.insert;
    for (const std::string& choice : found.choices) {
        out.append(&choice == found.choices.data() ? "?" : ",").append(choice);
    }
    return out;
}

TEST(Commands, TheListsAreSortedAndSaySomething) {
    for (const Mode mode : {Mode::text, Mode::binary, Mode::resp}) {
        const CommandTable table(mode);
        EXPECT_TRUE(std::ranges::is_sorted(table.all(), {}, &CommandHelp::name));
        for (const CommandHelp& command : table.all()) {
            EXPECT_FALSE(command.summary.empty()) << command.name;
            EXPECT_EQ(table.find(command.name), &command);
        }
    }
}

TEST(Commands, HintsShrinkAsArgumentsAreTyped) {
    const CommandTable table(Mode::resp);
    const std::pair<const char*, const char*> rows[] = {
        {"", ""},
        {"nonsense ", ""},
        {"get", "key"},
        {"get ", "key"},
        {"get k", "key"},
        {"get k ", ""},
        {"SET ", "key value [NX | XX] [GET]"},
        {"SET k v ", "[NX | XX] [GET]"},
        {"SET k v xx ", "[GET]"},
        {"SET k v GET ", "[NX | XX]"},
        {"SET k v GET NX ", ""},
        {"del a ", "[key ...]"},
        {"del a b c ", "[key ...]"},
        {"mset a 1 ", "[key value ...]"},
        {"ping ", "[message]"},
        {"ping x ", ""},
        {"config get ", "pattern [pattern ...]"},
        {"CONFIG GET a ", "[pattern ...]"},
        {"scan 0 ", "[MATCH pattern] [COUNT count] [TYPE type]"},
        {"scan 0 count 10 ", "[MATCH pattern] [TYPE type]"},
    };
    for (const auto& [line, expected] : rows) EXPECT_EQ(table.hint(line), expected) << line;
}

TEST(Commands, CompletesNamesSubcommandsAndOptions) {
    const CommandTable table(Mode::resp);
    const std::pair<const char*, const char*> rows[] = {
        {"ech", "o "},
        {"ECH", "O "},
        {"Ech", "O "},
        {"DBS", "IZE "},
        {"mg", "et "},
        {"getd", "el "},
        {"inc", "r"},
        {"incr", "?INCR,INCRBY"},
        {"xyz", ""},
        {"config ", "?GET,SET"},
        {"config s", "et "},
        {"client set", "?SETINFO,SETNAME"},
        {"client seti", "nfo "},
        {"scan 0 m", "atch "},
        {"scan 0 ", "?COUNT,MATCH,TYPE"},
        {"scan 0 match a* ", "?COUNT,TYPE"},
        {"scan ", ""},  // first the cursor
        {"set k v n", "x "},
        {"get ", ""},
        {"get k ", ""},
    };
    for (const auto& [line, expected] : rows) EXPECT_EQ(completed(table, line), expected) << line;
}

TEST(Commands, TheTextProtocolHasItsOwn) {
    const CommandTable table(Mode::text);
    EXPECT_EQ(completed(table, "ADD"), "SERVER ");
    EXPECT_EQ(completed(table, "MG"), "");
    EXPECT_EQ(table.hint("KEYS "), "");
    EXPECT_EQ(table.hint("ADDSERVER 3 "), "host raft_port client_port");
}

TEST(Commands, HelpNamesAllOrExplainsOne) {
    const CommandTable table(Mode::resp);
    EXPECT_NE(table.help("").find("  CONFIG GET\n"), std::string::npos);
    EXPECT_EQ(table.help("get"), "GET key\n    The value of a key.\n");
    EXPECT_NE(table.help("config").find("CONFIG GET pattern"), std::string::npos);
    EXPECT_NE(table.help("config").find("CONFIG SET name"), std::string::npos);
    EXPECT_EQ(table.help("config set").find("CONFIG GET"), std::string::npos);
    EXPECT_EQ(table.help("nonsense"), "No command 'nonsense' is known here: `help` lists them.\n");
}

/// As Redis 7 has it, with an argument of each kind.
constexpr std::string_view docs3 =
    "%3\r\n"
    "$3\r\nset\r\n%2\r\n$7\r\nsummary\r\n$4\r\nSets\r\n$9\r\narguments\r\n*4\r\n"
    "%2\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n"
    "%2\r\n$4\r\nname\r\n$5\r\nvalue\r\n$4\r\ntype\r\n$6\r\nstring\r\n"
    "%4\r\n$4\r\nname\r\n$9\r\ncondition\r\n$4\r\ntype\r\n$5\r\noneof\r\n"
    "$5\r\nflags\r\n*1\r\n+optional\r\n$9\r\narguments\r\n*2\r\n"
    "%3\r\n$4\r\nname\r\n$2\r\nnx\r\n$4\r\ntype\r\n$10\r\npure-token\r\n$5\r\ntoken\r\n$2\r\nNX\r\n"
    "%3\r\n$4\r\nname\r\n$2\r\nxx\r\n$4\r\ntype\r\n$10\r\npure-token\r\n$5\r\ntoken\r\n$2\r\nXX\r\n"
    "%4\r\n$4\r\nname\r\n$2\r\nex\r\n$4\r\ntype\r\n$7\r\ninteger\r\n$5\r\ntoken\r\n$2\r\nEX\r\n"
    "$5\r\nflags\r\n~1\r\n+optional\r\n"
    "$3\r\ndel\r\n%2\r\n$7\r\nsummary\r\n$7\r\nDeletes\r\n$9\r\narguments\r\n*1\r\n"
    "%3\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n$5\r\nflags\r\n*1\r\n+multiple\r\n"
    "$6\r\nconfig\r\n%2\r\n$7\r\nsummary\r\n$1\r\nC\r\n$11\r\nsubcommands\r\n%1\r\n"
    "$10\r\nconfig|get\r\n%1\r\n$7\r\nsummary\r\n$4\r\nGets\r\n";

TEST(CommandDocs, TheServersOwnListReplacesOurs) {
    CommandTable table(Mode::resp);
    ASSERT_TRUE(table.learn(read(docs3)));
    ASSERT_EQ(table.all().size(), 3u);
    EXPECT_EQ(table.hint("set "), "key value [NX | XX] [EX ex]");
    EXPECT_EQ(table.hint("del "), "key [key ...]");
    EXPECT_EQ(table.help("config get"), "CONFIG GET\n    Gets\n");
    EXPECT_EQ(completed(table, "co"), "nfig ");
    EXPECT_EQ(table.find("get k"), nullptr);
}

TEST(CommandDocs, MapsOfResp2AreLists) {
    CommandTable table(Mode::resp);
    ASSERT_TRUE(table.learn(
        read("*2\r\n$4\r\necho\r\n*4\r\n$7\r\nsummary\r\n$1\r\nE\r\n$9\r\narguments\r\n*1\r\n"
             "*4\r\n$4\r\nname\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n")));
    EXPECT_EQ(table.hint("echo "), "message");
}

TEST(CommandDocs, WhatIsNoneLeavesTheListAlone) {
    for (const char* reply :
         {"-ERR unknown command\r\n", "+PONG\r\n", "*0\r\n", "%0\r\n", "$-1\r\n", ":1\r\n",
          "*1\r\n+get\r\n", "*2\r\n+get\r\n+x\r\n", "*2\r\n*0\r\n*0\r\n"}) {
        CommandTable table(Mode::resp);
        EXPECT_FALSE(table.learn(read(reply))) << reply;
        EXPECT_EQ(table.hint("get "), "key");
    }
}

}  // namespace
}  // namespace kv::cli
