#include "proto/command_table.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "proto/request_check.h"
#include "proto/resp/resp_commands.h"

namespace kv {
namespace {

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
    return out;
}

/// docs/commands.md, as the table has it.
std::string commands_page() {
    std::string page =
        "# Commands\n\nWhat RESP clients may send, made from the table of commands in "
        "`proto/command_rows_*.h`; a test\ncompares the two. Words: those of the name included; "
        "`n+` means at least n.\n\n";
    page += "| command | words | since | what it does |\n|---|---|---|---|\n";
    std::string refused = "\n## Refused, with a reason\n\n| command | answer |\n|---|---|\n";
    for (const CommandRow& row : command_rows()) {
        std::string name = upper(row.name);
        if (const std::size_t bar = name.find('|'); bar != name.npos) name[bar] = ' ';
        if (row.kind == CommandClass::refused) {
            refused += "| " + name + " | " + std::string(row.reason) + " |\n";
            continue;
        }
        if (row.kind == CommandClass::container) continue;
        const std::string words =
            row.arity < 0 ? std::to_string(-row.arity) + "+" : std::to_string(row.arity);
        page += "| " + name + " | " + words + " | " + std::string(row.since) + " | " +
                std::string(row.summary) + " |\n";
    }
    return page + refused;
}

TEST(CommandTable, TheDocumentationIsTheTable) {
    std::ifstream file(KV_COMMANDS_PAGE);
    std::stringstream text;
    text << file.rdbuf();
    const std::string expected = commands_page();
    if (text.str() != expected) std::ofstream("commands.md.expected") << expected;
    EXPECT_TRUE(text.str() == expected)
        << "copy commands.md.expected, which this test has just written, to " << KV_COMMANDS_PAGE;
}

TEST(CommandTable, EveryRowIsFoundByItsNameInAnyCase) {
    std::set<std::string_view> names;
    for (const CommandRow& row : command_rows()) {
        EXPECT_TRUE(names.insert(row.name).second) << row.name << " is there twice";
        EXPECT_EQ(find_command(row.name), &row);
        EXPECT_EQ(find_command(upper(row.name)), &row);
        const std::size_t bar = row.name.find('|');
        if (bar == row.name.npos) continue;
        EXPECT_EQ(find_command(row.name.substr(0, bar), upper(row.name.substr(bar + 1))), &row);
    }
    EXPECT_EQ(find_command("nosuch"), nullptr);
    EXPECT_EQ(find_command(""), nullptr);
    EXPECT_EQ(find_command("get", "x"), nullptr);
    EXPECT_EQ(find_command("client", "i"), nullptr);
}

TEST(CommandTable, RowsAreWhole) {
    for (const CommandRow& row : command_rows()) {
        SCOPED_TRACE(row.name);
        EXPECT_NE(row.arity, 0);
        const bool has_verb = row.verb != Verb::invalid;
        const bool needs_verb =
            row.kind != CommandClass::container && row.kind != CommandClass::refused;
        EXPECT_EQ(has_verb, needs_verb);
        EXPECT_EQ(row.reason.empty(), row.kind != CommandClass::refused);
        if (has_verb) {
            EXPECT_EQ(&command_row(row.verb), &row);
            EXPECT_EQ(command_class(row.verb), row.kind);
            EXPECT_FALSE(row.summary.empty());
            EXPECT_FALSE(row.acl.empty());
        }
        EXPECT_EQ(row.keys.step != 0, !row.keys.flags.empty());
    }
}

TEST(CommandTable, NumbersOfArgumentsAreCheckedAsTheRowsSay) {
    const std::vector<std::string_view> many(40, "1");
    for (const CommandRow& row : command_rows()) {
        SCOPED_TRACE(row.name);
        if (row.kind == CommandClass::container) continue;
        const std::size_t bar = row.name.find('|');
        for (std::size_t args = 0; args < 8; ++args) {
            std::vector<std::string_view> words{row.name.substr(0, bar)};
            if (bar != row.name.npos) words.push_back(row.name.substr(bar + 1));
            words.insert(words.end(), many.begin(), many.begin() + static_cast<long>(args));
            Request request;
            ASSERT_TRUE(resp::resolve_command(words, RequestLimits{}, request));
            const std::string arity =
                "wrong number of arguments for '" + std::string(row.name) + "' command";
            if (!row.takes(words.size())) {
                EXPECT_EQ(request.error_text, arity) << args;
            } else if (row.verb != Verb::mset && row.verb != Verb::ping) {
                EXPECT_NE(request.error_text, arity) << args;
            }
        }
    }
}

TEST(CommandTable, KeysAreWhereTheRowsSay) {
    const auto keys = [](std::string_view name, std::size_t words) {
        std::vector<std::size_t> out;
        for_each_key(*find_command(name), words, [&](std::size_t at) { out.push_back(at); });
        return out;
    };
    using Places = std::vector<std::size_t>;
    EXPECT_EQ(keys("get", 2), Places({1}));
    EXPECT_EQ(keys("del", 4), Places({1, 2, 3}));
    EXPECT_EQ(keys("mset", 5), Places({1, 3}));
    EXPECT_EQ(keys("memory|usage", 3), Places({2}));
    EXPECT_EQ(keys("ping", 2), Places());
}

}  // namespace
}  // namespace kv
