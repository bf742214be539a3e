#include "tests/support/linearizability.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/support/linearization.h"

namespace kv::test {

namespace {

constexpr std::int64_t no_end = std::numeric_limits<std::int64_t>::max();
constexpr RegisterState absent{};
/// Of each attempt to show less. It costs nothing but a larger drawing to give one up.
constexpr std::uint64_t attempt_steps_max = 200'000;

std::int64_t end_of(const Operation& operation) {
    return operation.known == Known::unknown ? no_end : operation.end;
}

Verdict verdict_of(RegisterModel& model, std::span<const Operation> operations,
                   std::span<const RegisterState> initial, const CheckLimits& limits) {
    return Linearization(model, operations, limits.clients_in_order)
        .search(initial, limits)
        .verdict;
}

/// What was known at `time`: what had not ended then is of unknown outcome.
std::vector<Operation> known_at(std::span<const Operation> operations, std::int64_t time) {
    std::vector<Operation> out;
    for (const Operation& operation : operations) {
        if (operation.known == Known::not_applied || operation.start > time) continue;
        out.push_back(operation);
        if (end_of(operation) > time) out.back().known = Known::unknown;
    }
    return out;
}

/// Up to the first end of an operation that makes the rest impossible.
std::vector<Operation> shortest_prefix(RegisterModel& model, std::span<const Operation> operations,
                                       const CheckLimits& limits) {
    std::vector<std::int64_t> ends;
    for (const Operation& operation : operations) {
        if (operation.known == Known::ok) ends.push_back(operation.end);
    }
    std::ranges::sort(ends);
    std::size_t good = 0;
    std::size_t bad = ends.size() - 1;
    while (good < bad) {
        const std::size_t middle = good + (bad - good) / 2;
        const auto prefix = known_at(operations, ends[middle]);
        if (verdict_of(model, prefix, {&absent, 1}, limits) == Verdict::not_linearizable) {
            bad = middle;
        } else {
            good = middle + 1;
        }
    }
    return known_at(operations, ends[bad]);
}

struct Window {
    std::vector<RegisterState> before{absent};
    std::vector<Operation> operations;
    std::size_t left_out = 0;  ///< operations that change nothing about it
};

/// Those of one instant stay in their order. (std::stable_sort of g++ 12's library uses what that
/// library itself calls deprecated.)
void sort_by_start(std::vector<Operation>& operations) {
    std::multimap<std::int64_t, Operation> sorted;
    for (Operation& o : operations) sorted.emplace(o.start, std::move(o));
    operations.clear();
    for (auto& [start, o] : sorted) operations.push_back(std::move(o));
}

/// Leaves out what came before the last moment at which nothing was under way, as long as what is
/// left is impossible in every state that the key can have had then.
Window last_part(RegisterModel& model, std::vector<Operation> operations,
                 const CheckLimits& attempt) {
    sort_by_start(operations);
    std::vector<std::size_t> cuts;
    std::int64_t ended = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = 0; i < operations.size(); ++i) {
        if (operations[i].start > ended) cuts.push_back(i);
        if (operations[i].known == Known::ok) ended = std::max(ended, operations[i].end);
    }
    for (; !cuts.empty() && cuts.back() != 0; cuts.pop_back()) {
        const std::span<const Operation> prefix = std::span(operations).first(cuts.back());
        Window window;
        window.before = Linearization(model, prefix, attempt.clients_in_order)
                            .final_states({&absent, 1}, attempt);
        for (std::size_t i = 0; i < operations.size(); ++i) {
            // Those of unknown outcome may still come.
            if (i < cuts.back() && operations[i].known == Known::ok) continue;
            window.operations.push_back(operations[i]);
        }
        if (window.before.empty()) continue;
        if (verdict_of(model, window.operations, window.before, attempt) ==
            Verdict::not_linearizable)
            return window;
    }
    return {.before = {absent}, .operations = std::move(operations)};
}

/// Whether all that is known of the results are texts: then what never wrote one of them does not
/// explain it.
bool only_texts(std::span<const Operation> operations) {
    return std::ranges::all_of(operations, [](const Operation& o) {
        return o.known == Known::unknown || o.result.kind == Datum::Kind::ok ||
               o.result.kind == Datum::Kind::text;
    });
}

bool is_named(const Operation& write, std::span<const Operation> operations) {
    return std::ranges::any_of(operations, [&](const Operation& other) {
        return other.known == Known::ok && other.result == write.argument;
    });
}

/// Leaves out what does not matter to a reader: what stays impossible when less is demanded was so
/// before. First reads, then, where values tell whose they are, results, and of what has no result
/// left the writes of values that nobody saw.
void thin(RegisterModel& model, Window& window, const CheckLimits& attempt) {
    const auto fails = [&](std::span<const Operation> operations) {
        return verdict_of(model, operations, window.before, attempt) == Verdict::not_linearizable;
    };
    for (std::size_t i = window.operations.size(); i-- > 0;) {
        if (!is_read(window.operations[i].kind)) continue;
        std::vector<Operation> rest = window.operations;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
        if (fails(rest)) window.operations = std::move(rest);
    }
    // Often one result is impossible by itself, whatever the others were.
    std::vector<Operation> weaker = window.operations;
    for (Operation& operation : weaker) operation.known = Known::unknown;
    bool alone = false;
    for (std::size_t i = weaker.size(); i-- > 0 && !alone;) {
        weaker[i].known = window.operations[i].known;
        alone = weaker[i].known == Known::ok && fails(weaker);
        if (!alone) weaker[i].known = Known::unknown;
    }
    if (!alone) weaker = window.operations;
    for (Operation& operation : weaker) {
        if (alone || operation.known == Known::unknown) continue;
        operation.known = Known::unknown;
        if (!fails(weaker)) operation.known = Known::ok;
    }
    if (!only_texts(weaker)) return;
    std::vector<Operation> shown;
    for (std::size_t i = 0; i < weaker.size(); ++i) {
        // As its client saw it.
        if (weaker[i].known == Known::ok || is_named(weaker[i], weaker))
            shown.push_back(window.operations[i]);
    }
    window.left_out = window.operations.size() - shown.size();
    window.operations = std::move(shown);
}

std::string label(const Operation& o) {
    std::string out = fmt::format("client {} {}", o.client, name(o.kind));
    if (o.argument.kind != Datum::Kind::none) out += ' ' + text_of(o.argument);
    if (o.expected.kind != Datum::Kind::none) out += " if " + text_of(o.expected);
    out += o.known == Known::unknown ? " -> ?" : " -> " + text_of(o.result);
    if (o.revision != 0) out += fmt::format(" revision {}", o.revision);
    return out;
}

constexpr std::size_t label_bytes_max = 60;

/// A line for each operation; a column for each moment at which one began or ended.
std::string draw(std::span<const Operation> operations) {
    std::set<std::int64_t> moments;
    std::size_t width = 0;
    for (const Operation& operation : operations) {
        moments.insert(operation.start);
        if (operation.known == Known::ok) moments.insert(operation.end);
        width = std::max(width, std::min(label_bytes_max, label(operation).size()));
    }
    const auto column = [&](std::int64_t moment) {
        return 3 * static_cast<std::size_t>(std::distance(moments.begin(), moments.find(moment)));
    };
    std::string out;
    for (const Operation& operation : operations) {
        const bool open = operation.known == Known::unknown;
        const std::size_t from = column(operation.start);
        const std::size_t to = open ? 3 * moments.size() : column(operation.end);
        std::string bar(from, ' ');
        bar += '|' + std::string(std::max(to, from + 1) - from - 1, '-') + (open ? '>' : '|');
        out +=
            fmt::format("  {:<{}}  {:<{}}  {}..{}\n", label(operation).substr(0, label_bytes_max),
                        width, bar, 3 * moments.size() + 1, operation.start,
                        open ? std::string() : fmt::format("{}", operation.end));
    }
    return out;
}

/// Where the values come from that the window reads and does not write.
std::string origins(const Window& window, std::span<const Operation> operations) {
    std::vector<Operation> found;
    for (const Operation& reader : window.operations) {
        if (reader.result.kind != Datum::Kind::text || reader.known != Known::ok) continue;
        const auto writes = [&](const Operation& o) {
            return !is_read(o.kind) && o.argument == reader.result;
        };
        if (std::ranges::any_of(window.operations, writes)) continue;
        const auto writer = std::ranges::find_if(operations, writes);
        if (writer == operations.end() || std::ranges::find(found, *writer) != found.end())
            continue;
        found.push_back(*writer);
    }
    if (found.empty()) return {};
    return "written earlier:\n" + draw(found);
}

}  // namespace

KeyVerdict check_key(std::span<const Operation> operations, const CheckLimits& limits) {
    RegisterModel model;
    return Linearization(model, operations, limits.clients_in_order).search({&absent, 1}, limits);
}

std::string explain(std::span<const Operation> operations, const CheckLimits& limits) {
    RegisterModel model;
    if (verdict_of(model, operations, {&absent, 1}, limits) != Verdict::not_linearizable) return {};
    CheckLimits attempt = limits;
    attempt.steps_max = std::min(limits.steps_max, attempt_steps_max);
    Window window = last_part(model, shortest_prefix(model, operations, limits), attempt);
    thin(model, window, attempt);
    std::string before;
    for (const RegisterState& state : window.before) {
        before += (before.empty() ? "" : ", or ") + model.describe(state);
    }
    const std::string others =
        window.left_out == 0
            ? std::string()
            : fmt::format("{} others at that time do not matter\n", window.left_out);
    return fmt::format("key {}: no order of these operations explains their results\n",
                       text_of(Datum::of(operations.front().key))) +
           fmt::format("before: {}\n{}{}{}", before, draw(window.operations), others,
                       origins(window, operations));
}

CheckReport check(const History& history, const CheckLimits& limits) {
    std::map<std::string_view, std::vector<Operation>> by_key;
    for (const Operation& operation : history.operations()) {
        by_key[operation.key].push_back(operation);
    }
    CheckReport report;
    for (const auto& [key, operations] : by_key) {
        const KeyVerdict verdict = check_key(operations, limits);
        ++report.keys;
        report.operations += operations.size();
        report.steps += verdict.steps;
        switch (verdict.verdict) {
            case Verdict::linearizable: break;
            case Verdict::undecided: report.undecided.emplace_back(key); break;
            case Verdict::not_linearizable:
                if (report.wrong.empty()) report.drawing = explain(operations, limits);
                report.wrong.emplace_back(key);
                break;
        }
    }
    return report;
}

}  // namespace kv::test
