#include "engine/node/glob.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "proto/base/prng.h"
#include "tests/support/sim_server.h"

namespace kv {
namespace {

TEST(Glob, Table) {
    struct Case {
        std::string_view pattern;
        std::string_view text;
        bool matches;
        bool ignore_case = false;
    };
    const Case cases[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", true},
        {"*", "anything", true},
        {"**", "", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"h?llo", "hello", true},
        {"h*llo", "hllo", true},
        {"h*llo", "heeeello", true},
        {"h*llo", "heeeellx", false},
        {"*a*b*c*", "xaxbxcx", true},
        {"*a*b*c*", "xaxcxbx", false},
        {"a*a", "a", false},
        {"h[ae]llo", "hallo", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-c]llo", "hbllo", true},
        {"h[c-a]llo", "hbllo", true},  // either way round, as Redis has it
        {"h[a-c]llo", "hdllo", false},
        {"[a-]", "-", true},
        {"[-a]", "-", true},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"[\\]]", "]", true},
        {"[\\-a]", "-", true},
        {"[abc", "b", true},  // an open set reaches to the end
        {"[abc", "d", false},
        {"[", "a", false},
        {"[", "[", false},
        {"a]", "a]", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\?x", "?x", true},
        {"\\", "\\", true},
        {"a\\", "a\\", true},
        {"\\a", "a", true},
        {"ABC", "abc", false},
        {"ABC", "abc", true, true},
        {"abc", "ABC", true, true},
        {"[A-C]x", "bX", true, true},
        {"[a-c]x", "BX", true, true},
        {"\\A", "a", true, true},
        {std::string_view("a\0b", 3), std::string_view("a\0b", 3), true},
        {"a?b", std::string_view("a\0b", 3), true},
        {"\xff*", "\xff\xfe", true},
        {"[\x80-\xff]", "\xc0", true},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(glob_match(c.pattern, c.text, c.ignore_case), c.matches)
            << "\"" << c.pattern << "\" and \"" << c.text << "\"";
    }
}

TEST(Glob, ManyStarsCostNoExponentialTime) {
    std::string pattern;
    for (int i = 0; i < 200; ++i) pattern += "a*";
    pattern += "b";
    EXPECT_FALSE(glob_match(pattern, std::string(20'000, 'a')));
}

/// The set behind a '['; moves `at` behind it.
bool set_holds(std::string_view pattern, std::size_t& at, char c) {
    bool negated = false;
    if (at < pattern.size() && pattern[at] == '^') {
        negated = true;
        ++at;
    }
    bool found = false;
    while (at < pattern.size() && pattern[at] != ']') {
        if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
        char low = pattern[at++];
        char high = low;
        if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
            high = pattern[at + 1];
            at += 2;
        }
        if (low > high) std::swap(low, high);
        if (low <= c && c <= high) found = true;
    }
    if (at < pattern.size()) ++at;
    return found != negated;
}

/// The definition, tried out: exponential, and obviously right.
bool twin(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern[0] == '*') {
        for (std::size_t skip = 0; skip <= text.size(); ++skip) {
            if (twin(pattern.substr(1), text.substr(skip))) return true;
        }
        return false;
    }
    if (text.empty()) return false;
    if (pattern[0] == '?') return twin(pattern.substr(1), text.substr(1));
    if (pattern[0] == '[') {
        std::size_t at = 1;
        return set_holds(pattern, at, text[0]) && twin(pattern.substr(at), text.substr(1));
    }
    const std::size_t literal = pattern[0] == '\\' && pattern.size() > 1 ? 1 : 0;
    return pattern[literal] == text[0] && twin(pattern.substr(literal + 1), text.substr(1));
}

TEST(Glob, AgreesWithTheRecursiveTwin) {
    constexpr std::string_view alphabet = "aabc*?[]^-\\";
    constexpr std::string_view letters = "abc]-^\\";
    Prng prng(1);
    std::uint64_t matches = 0;
    const std::uint64_t rounds = scaled(300'000);
    for (std::uint64_t i = 0; i < rounds; ++i) {
        std::string pattern;
        std::string text;
        for (std::uint64_t n = prng.below(9); n > 0; --n) {
            pattern.push_back(alphabet[prng.below(alphabet.size())]);
        }
        for (std::uint64_t n = prng.below(7); n > 0; --n) {
            text.push_back(letters[prng.below(letters.size())]);
        }
        const bool expected = twin(pattern, text);
        matches += expected ? 1 : 0;
        ASSERT_EQ(glob_match(pattern, text), expected)
            << "\"" << pattern << "\" and \"" << text << "\"";
    }
    EXPECT_GT(matches, rounds / 50);
    EXPECT_LT(matches, rounds / 2);
}

}  // namespace
}  // namespace kv
