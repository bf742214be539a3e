#include "tests/support/linearizability.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proto/base/prng.h"

namespace kv::test {
namespace {

std::span<const Operation> all(const History& history) {
    return history.operations();
}

struct Case {
    const char* name;
    const char* history;  ///< without revision where the line is short: see lines_of
    bool good;
};

/// "client start end kind argument result" for key k; `?` as result: unknown, `no`: not applied; a
/// seventh word is `expected`, an eighth the revision.
History history_of(std::string_view script) {
    std::string text;
    while (!script.empty()) {
        std::string_view line = script.substr(0, script.find('\n'));
        script.remove_prefix(std::min(script.size(), line.size() + 1));
        std::vector<std::string> word;
        while (!line.empty()) {
            const std::string_view w = line.substr(0, line.find(' '));
            line.remove_prefix(std::min(line.size(), w.size() + 1));
            if (!w.empty()) word.emplace_back(w);
        }
        if (word.empty()) continue;
        word.resize(8, "");
        const bool unknown = word[5] == "?";
        const bool refused = word[5] == "no";
        text += fmt::format("{} {} {} {} {} =k {} {} {} {}\n", word[0], word[1],
                            unknown && word[2] == "1" ? "-" : word[2],
                            unknown   ? "unknown"
                            : refused ? "not_applied"
                                      : "ok",
                            word[3], word[4], word[6].empty() ? "-" : word[6],
                            unknown || refused ? "-" : word[5], word[7].empty() ? "0" : word[7]);
    }
    auto parsed = History::parse(text);
    EXPECT_TRUE(parsed) << text;
    return parsed ? *std::move(parsed) : History{};
}

const Case cases[] = {
    {"nothing", "", true},
    {"a write is read", "1 0 1 set =a +\n 1 2 3 get - =a", true},
    {"a key begins absent", "1 0 1 get - _", true},
    {"out of thin air", "1 0 1 get - =a", false},
    {"stale read", "1 0 1 set =a +\n 1 2 3 set =b +\n 2 4 5 get - =a", false},
    {"read of either during a write",
     "1 0 1 set =a +\n 1 2 9 set =b +\n 2 3 4 get - =a\n 2 5 6 get - =b", true},
    {"new, then old, during a write",
     "1 0 1 set =a +\n 1 2 9 set =b +\n 2 3 4 get - =b\n 3 5 6 get - =a", false},
    {"they touch, so they overlap", "1 0 5 set =a +\n 2 5 6 get - _", true},
    {"they do not touch", "1 0 5 set =a +\n 2 6 7 get - _", false},
    {"lost update", "1 0 1 set =1 +\n 1 2 9 incr :1 :2\n 2 2 9 incr :1 :2\n 1 10 11 get - =2",
     false},
    {"both updates", "1 0 1 set =1 +\n 1 2 9 incr :1 :3\n 2 2 9 incr :1 :2\n 1 10 11 get - =3",
     true},
    {"lost acknowledged write", "1 0 1 set =a +\n 1 10 11 get - _", false},
    {"an unknown write may never happen", "1 0 1 set =a ?\n 2 5 6 get - _\n 2 7 8 get - _", true},
    {"an unknown write may happen late", "1 0 1 set =a ?\n 2 5 6 get - _\n 2 7 8 get - =a", true},
    {"resurrected, then vanished", "1 0 1 set =a ?\n 2 5 6 get - =a\n 2 7 8 get - _", false},
    {"an unknown write before it was asked for", "2 0 1 get - =a\n 1 5 6 set =a ?", false},
    {"an unknown write in its time", "1 0 5 set =a ?\n 2 6 7 get - =a", true},
    {"an unknown write after its time", "1 0 5 set =a ?\n 2 6 7 get - _\n 2 8 9 get - =a", false},
    {"a refused write that shows", "1 0 1 set =a no\n 1 2 3 get - =a", false},
    {"a refused write that does not", "1 0 1 set =a no\n 1 2 3 get - _", true},
    {"unknown, one effect", "1 0 1 incr :1 ?\n 1 2 3 incr :1 :2\n 1 4 5 get - =2", true},
    {"double effect of one unknown", "1 0 1 incr :1 ?\n 1 2 3 incr :1 :2\n 1 4 5 get - =3", false},
    {"double effect of one append", "1 0 1 append =x :1\n 1 2 3 get - =xx", false},
    {"unknown ones in any order", "1 0 1 append =a ?\n 2 0 1 append =b ?\n 3 2 3 get - =ba", true},
    {"of three equal unknown ones two",
     "1 0 1 incr :5 ?\n 2 0 1 incr :5 ?\n 3 0 1 incr :5 ?\n 4 2 3 get - =10", true},
    {"of two equal unknown ones three", "1 0 1 incr :5 ?\n 2 0 1 incr :5 ?\n 4 2 3 get - =15",
     false},
    {"deleted twice", "1 0 1 set =a +\n 1 2 9 del - :1\n 2 2 9 del - :1", false},
    {"deleted once", "1 0 1 set =a +\n 1 2 9 del - :1\n 2 2 9 del - :0", true},
    {"an unknown del explains", "1 0 1 set =a +\n 1 2 3 del - ?\n 1 4 5 del - :0", true},
    {"flushed", "1 0 1 set =a +\n 1 2 3 erase - -\n 1 4 5 exists - :0\n", true},
    {"not flushed", "1 0 1 set =a +\n 1 2 3 erase - -\n 1 4 5 exists - :1\n", false},
    {"length", "1 0 1 set =four +\n 1 2 3 strlen - :4\n 1 4 5 append =! :5", true},
    {"wrong length", "1 0 1 set =four +\n 1 2 3 strlen - :5", false},
    {"two hold one lock", "1 0 9 set_nx =a +\n 2 0 9 set_nx =b +", false},
    {"one holds the lock", "1 0 9 set_nx =a +\n 2 0 9 set_nx =b _", true},
    {"xx of nothing", "1 0 1 set_xx =a _\n 1 2 3 get - _", true},
    {"xx of nothing writes", "1 0 1 set_xx =a +", false},
    {"compare and set", "1 0 1 set =a +\n 1 2 3 set_if_value =b + =a\n 1 4 5 get - =b", true},
    {"compare and set, both",
     "1 0 1 set =a +\n 1 2 9 set_if_value =b + =a\n 2 2 9 set_if_value =c + =a", false},
    {"an unknown compare and set that could not",
     "1 0 1 set =a +\n 1 2 3 set_if_value =b ? =x\n 2 4 5 get - =b", false},
    {"old values come back once", "1 0 1 getset =a _\n 1 2 3 getset =b =a\n 1 4 5 getdel - =b",
     true},
    {"two take one value", "1 0 1 set =a +\n 1 2 9 getdel - =a\n 2 2 9 getdel - =a", false},
    {"not a number", "1 0 1 set =x +\n 1 2 3 incr :1 !\n 1 4 5 get - =x", true},
    {"a number after all", "1 0 1 set =7 +\n 1 2 3 incr :1 !", false},
    {"leading zeros are no number", "1 0 1 set =07 +\n 1 2 3 incr :1 !", true},
    {"overflow", "1 0 1 set =9223372036854775807 +\n 1 2 3 incr :1 !", true},
    {"revisions rise", "1 0 1 set =a + - 4\n 1 2 3 get - =a - 4\n 1 4 5 set =b + - 9", true},
    {"a revision falls", "1 0 1 set =a + - 4\n 1 4 5 set =b + - 3", false},
    {"a read with another revision", "1 0 1 set =a + - 4\n 1 2 3 get - =a - 5", false},
    {"a revision is learnt from a read", "1 0 1 set =a +\n 1 2 3 get - =a - 4\n 1 4 5 get - =a - 5",
     false},
    {"revisions survive a del", "1 0 1 set =a + - 4\n 1 2 3 del - :1\n 1 4 5 set =b + - 2", false},
    {"if the revision equals",
     "1 0 1 set =a + - 4\n 1 2 3 set_if_revision =b + :4 6\n 1 4 5 set_if_revision =c _ :4", true},
    {"two with one revision",
     "1 0 1 set =a + - 4\n 1 2 9 set_if_revision =b + :4 6\n 2 2 9 set_if_revision =c + :4 7",
     false},
    {"revision 0: absent", "1 0 1 set_if_revision =b + :0\n 1 2 3 set_if_revision =b _ :0", true},
    {"a revision that nobody was told",
     "1 0 1 set =a +\n 1 2 3 set_if_revision =b + :4\n 1 4 5 get - =b", true},
    {"a revision from before",
     "1 0 1 set =x + - 8\n 1 2 3 set =a +\n 1 4 5 set_if_revision =b + :4", false},
};

TEST(Linearizability, KnownCases) {
    for (const Case& c : cases) {
        const History history = history_of(c.history);
        EXPECT_EQ(check_key(all(history)).verdict,
                  c.good ? Verdict::linearizable : Verdict::not_linearizable)
            << c.name;
    }
}

TEST(Linearizability, OneConnectionKeepsItsOrder) {
    const Case ordered[] = {
        {"pipelined", "1 0 9 set =a +\n 1 0 9 get - =a\n 1 0 9 set =b +\n 1 0 9 get - =b", true},
        {"a get before its own set", "1 0 9 set =a +\n 1 0 9 get - _", false},
        {"a get behind its own later set", "1 0 9 get - =a\n 1 0 9 set =a +", false},
        {"an unknown one behind a later one", "1 0 9 set =a ?\n 1 0 9 set =b +\n 2 20 21 get - =a",
         false},
        {"an unknown one that never was", "1 0 9 set =a ?\n 1 0 9 set =b +\n 2 20 21 get - =b",
         true},
        {"two connections", "1 0 9 set =a +\n 2 0 9 get - _", true},
    };
    for (const Case& c : ordered) {
        const History history = history_of(c.history);
        EXPECT_EQ(check_key(all(history), {.clients_in_order = true}).verdict,
                  c.good ? Verdict::linearizable : Verdict::not_linearizable)
            << c.name;
        EXPECT_EQ(check_key(all(history)).verdict, Verdict::linearizable) << c.name;
    }
}

/// Tries every order, without memory and without any thought.
class BruteForce {
public:
    explicit BruteForce(std::span<const Operation> operations)
        : operations_(operations), done_(operations.size()) {}

    bool linearizable(const RegisterState& state = {}) {
        bool complete = true;
        for (std::size_t i = 0; i < operations_.size(); ++i) {
            if (!done_[i] && operations_[i].known == Known::ok) complete = false;
        }
        if (complete) return true;
        for (std::size_t i = 0; i < operations_.size(); ++i) {
            if (done_[i] || operations_[i].known == Known::not_applied || has_to_wait(i)) continue;
            if (operations_[i].known == Known::unknown && is_too_late(i)) continue;
            const auto next = model_.apply(state, operations_[i]);
            if (!next) continue;
            done_[i] = true;
            const bool found = linearizable(*next);
            done_[i] = false;
            if (found) return true;
        }
        return false;
    }

private:
    bool has_to_wait(std::size_t i) const {
        for (std::size_t j = 0; j < operations_.size(); ++j) {
            if (!done_[j] && operations_[j].known == Known::ok &&
                operations_[j].end < operations_[i].start)
                return true;
        }
        return false;
    }

    bool is_too_late(std::size_t i) const {
        for (std::size_t j = 0; j < operations_.size(); ++j) {
            if (done_[j] && operations_[j].start > operations_[i].end) return true;
        }
        return false;
    }

    std::span<const Operation> operations_;
    std::vector<bool> done_;
    RegisterModel model_;
};

/// What `kind` could be asked and told, from few values, so that many histories are nearly right.
Operation random_operation(Prng& prng) {
    Operation o;
    o.key = "k";
    o.client = static_cast<std::uint32_t>(prng.below(4));
    o.kind =
        static_cast<OperationKind>(prng.below(static_cast<std::uint64_t>(operation_kind_last) + 1));
    o.start = static_cast<std::int64_t>(prng.below(20));
    o.end = o.start + static_cast<std::int64_t>(prng.below(8));
    const std::uint64_t fate = prng.below(10);
    if (fate == 8) o.end = never_ends;
    o.known = fate < 6 ? Known::ok : fate < 9 ? Known::unknown : Known::not_applied;
    const auto text = [&] {
        return Datum::of(std::string(1, static_cast<char>('1' + prng.below(2))));
    };
    const auto text_or_nil = [&] { return prng.below(3) == 0 ? Datum::nil() : text(); };
    const auto ok_or_nil = [&] { return prng.below(2) == 0 ? Datum::nil() : Datum::ok(); };
    const auto number = [&] { return Datum::of(static_cast<std::int64_t>(prng.below(3))); };
    switch (o.kind) {
        case OperationKind::get:
        case OperationKind::getdel: o.result = text_or_nil(); break;
        case OperationKind::set:
            o.argument = text();
            o.result = Datum::ok();
            break;
        case OperationKind::erase: break;
        case OperationKind::del:
        case OperationKind::exists:
        case OperationKind::strlen: o.result = number(); break;
        case OperationKind::incr:
            o.argument = Datum::of(1);
            o.result = number();
            break;
        case OperationKind::append:
            o.argument = text();
            o.result = number();
            break;
        case OperationKind::getset:
            o.argument = text();
            o.result = text_or_nil();
            break;
        case OperationKind::set_nx:
        case OperationKind::set_xx:
            o.argument = text();
            o.result = ok_or_nil();
            break;
        case OperationKind::set_if_value:
            o.argument = text();
            o.expected = text();
            o.result = ok_or_nil();
            break;
        case OperationKind::set_if_revision:
            o.argument = text();
            o.expected = number();
            o.result = ok_or_nil();
            break;
    }
    if (o.known != Known::ok) o.result = {};
    if (o.known == Known::ok && prng.below(3) == 0) o.revision = prng.below(4);
    return o;
}

TEST(Linearizability, AgreesWithBruteForce) {
    Prng prng(20'26);
    std::size_t good = 0;
    std::size_t explained = 0;
    constexpr std::size_t histories = 100'000;
    for (std::size_t n = 0; n < histories; ++n) {
        History history;
        const std::uint64_t operations = prng.between(1, 7);
        for (std::uint64_t i = 0; i < operations; ++i) history.add(random_operation(prng));
        const bool expected = BruteForce(all(history)).linearizable();
        const Verdict found = check_key(all(history)).verdict;
        ASSERT_EQ(found, expected ? Verdict::linearizable : Verdict::not_linearizable)
            << "history " << n << "\n"
            << history.text();
        good += expected ? 1 : 0;
        if (expected || n % 16 != 0) continue;
        ASSERT_NE(explain(all(history)), "");
        ++explained;
    }
    // Neither verdict may be rare, or the comparison says little.
    EXPECT_GT(good, histories / 20);
    EXPECT_LT(good, histories - histories / 20);
    EXPECT_GT(explained, histories / 100);
}

/// A history that did happen: each operation takes effect at a moment between its start and its
/// end. Some are never answered, and of those some never happen.
History real_history(Prng& prng, std::size_t operations, std::uint32_t clients,
                     std::uint64_t unknown_per_cent) {
    struct Pending {
        Operation operation;
        std::int64_t effect;
        bool happens = true;
    };
    std::vector<Pending> pending;
    std::vector<std::int64_t> free_at(clients);
    std::int64_t unique = 0;
    const bool counter = prng.below(4) == 0;
    for (std::size_t n = 0; n < operations; ++n) {
        const auto client =
            static_cast<std::uint32_t>(std::ranges::min_element(free_at) - free_at.begin());
        Operation o{.client = client, .key = "k", .start = free_at[client]};
        o.end = o.start + static_cast<std::int64_t>(prng.between(1, 1000));
        free_at[client] = o.end + static_cast<std::int64_t>(prng.between(1, 300));
        constexpr OperationKind kinds[] = {OperationKind::get,    OperationKind::get,
                                           OperationKind::set,    OperationKind::del,
                                           OperationKind::getdel, OperationKind::getset,
                                           OperationKind::exists, OperationKind::set_nx};
        constexpr OperationKind counts[] = {OperationKind::get, OperationKind::incr,
                                            OperationKind::incr, OperationKind::del,
                                            OperationKind::exists};
        o.kind =
            counter ? counts[prng.below(std::size(counts))] : kinds[prng.below(std::size(kinds))];
        if (o.kind == OperationKind::incr) {
            o.argument = Datum::of(1);
        } else if (!is_read(o.kind) && o.kind != OperationKind::del &&
                   o.kind != OperationKind::getdel) {
            o.argument = Datum::of(fmt::format("v{}", ++unique));
        }
        Pending p{o, o.start + static_cast<std::int64_t>(
                                   prng.below(static_cast<std::uint64_t>(o.end - o.start) + 1))};
        if (prng.below(100) < unknown_per_cent) {
            p.operation.known = Known::unknown;
            p.operation.end = never_ends;
            p.happens = prng.below(2) == 0;
            if (prng.below(4) == 0) p.effect += 5000;  // long after its client gave up
        } else {
            p.operation.known = Known::ok;
        }
        pending.push_back(std::move(p));
    }
    const auto when = [](const Pending& p) { return std::pair(p.effect, p.operation.start); };
    std::ranges::sort(pending, {}, when);
    std::optional<std::string> value;
    History history;
    for (Pending& p : pending) {
        Operation& o = p.operation;
        if (p.happens) {
            const auto old = value ? Datum::of(*value) : Datum::nil();
            switch (o.kind) {
                case OperationKind::get: o.result = old; break;
                case OperationKind::exists: o.result = Datum::of(value ? 1 : 0); break;
                case OperationKind::set:
                    value = o.argument.text;
                    o.result = Datum::ok();
                    break;
                case OperationKind::del:
                    o.result = Datum::of(value ? 1 : 0);
                    value.reset();
                    break;
                case OperationKind::getdel:
                    o.result = old;
                    value.reset();
                    break;
                case OperationKind::getset:
                    o.result = old;
                    value = o.argument.text;
                    break;
                case OperationKind::set_nx:
                    o.result = value ? Datum::nil() : Datum::ok();
                    if (!value) value = o.argument.text;
                    break;
                default:
                    o.result = Datum::of(std::stoll(value.value_or("0")) + 1);
                    value = fmt::format("{}", o.result.integer);
                    break;
            }
        }
        if (o.known == Known::unknown) o.result = {};
        history.add(o);
    }
    return history;
}

TEST(Linearizability, WhatHappenedIsPossible) {
    Prng prng(7);
    std::uint64_t steps = 0;
    std::size_t undecided = 0;
    constexpr std::size_t histories = 200;
    for (std::size_t n = 0; n < histories; ++n) {
        const auto clients = static_cast<std::uint32_t>(prng.between(1, 8));
        const History history = real_history(prng, 2000, clients, prng.below(3));
        const KeyVerdict verdict = check_key(all(history));
        ASSERT_NE(verdict.verdict, Verdict::not_linearizable) << explain(all(history));
        undecided += verdict.verdict == Verdict::undecided ? 1 : 0;
        steps += verdict.steps;
    }
    EXPECT_EQ(undecided, 0u);
    fmt::print("{} histories, {} operations, {} steps\n", histories, histories * 2000, steps);
}

/// One result changed in a history that did happen is found, wherever a change is impossible.
TEST(Linearizability, OneWrongResultAmongHundredsIsFound) {
    Prng prng(8);
    std::size_t found = 0;
    for (std::size_t n = 0; n < 20; ++n) {
        const History history = real_history(prng, 300, 4, 1);
        std::vector<Operation> operations(all(history).begin(), all(history).end());
        auto victim = operations.begin() + static_cast<std::ptrdiff_t>(prng.between(100, 280));
        while (victim->kind != OperationKind::get || victim->known != Known::ok) --victim;
        // A value from long ago that every client has seen replaced.
        const auto old = std::ranges::find_if(operations, [](const Operation& o) {
            return o.kind == OperationKind::set && o.known == Known::ok;
        });
        if (old == operations.end()) continue;  // a history of a counter
        victim->result = old->argument;
        ASSERT_EQ(check_key(operations).verdict, Verdict::not_linearizable);
        const std::string drawing = explain(operations);
        const std::string wrong =
            fmt::format("client {} get -> {}", victim->client, text_of(victim->result));
        EXPECT_NE(drawing.find(wrong), std::string::npos) << drawing;
        EXPECT_LT(std::ranges::count(drawing, '\n'), 150) << drawing;
        ++found;
    }
    EXPECT_GE(found, 10u);
}

TEST(Linearizability, AFailureIsDrawn) {
    History history = history_of(
        "1 0 1 set =zero +\n"
        "1 2 3 get - =zero\n"
        "1 10 20 set =one +\n"
        "2 30 40 set =two +\n"
        "3 50 60 get - =two\n"
        "1 70 80 get - =one\n"
        "2 90 99 get - =two\n");
    history.add({.client = 1,
                 .key = "other",
                 .start = 3,
                 .end = 4,
                 .known = Known::ok,
                 .result = Datum::nil()});
    const CheckReport report = check(history);
    EXPECT_FALSE(report.good());
    EXPECT_EQ(report.keys, 2u);
    EXPECT_EQ(report.operations, 8u);
    EXPECT_EQ(report.wrong, std::vector<std::string>{"k"});
    EXPECT_EQ(report.drawing,
              "key =k: no order of these operations explains their results\n"
              "before: =two\n"
              "  client 1 get -> =one  |--|     70..80\n"
              "written earlier:\n"
              "  client 1 set =one -> +  |--|     10..20\n");
}

TEST(Linearizability, TooLongIsUndecidedAndNotGood) {
    Prng prng(9);
    const History history = real_history(prng, 100, 4, 0);
    const CheckReport report = check(history, {.steps_max = 10});
    EXPECT_EQ(report.undecided, std::vector<std::string>{"k"});
    EXPECT_TRUE(report.wrong.empty());
    EXPECT_FALSE(report.good());
}

}  // namespace
}  // namespace kv::test
