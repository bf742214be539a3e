#include "tests/support/linearization.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "proto/base/prng.h"

namespace kv::test {

namespace {

constexpr std::uint32_t nothing = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t low_seed = 0x9e3779b97f4a7c15;
constexpr std::uint64_t high_seed = 0xc2b2ae3d27d4eb4f;

/// Leaves nothing of what was there before it, and nobody was told what that was.
bool is_blind(const Operation& operation) {
    return operation.kind == OperationKind::set || operation.kind == OperationKind::erase ||
           (operation.kind == OperationKind::getset && operation.known == Known::unknown);
}

/// Leaves its key as it is, wherever in an order it stands: what its client was told says so.
bool changes_nothing(const Operation& o) {
    if (o.known != Known::ok) return false;
    if (is_read(o.kind)) return o.revision == 0;  // or it may tell the revision of what is there
    if (o.kind == OperationKind::del) return o.result == Datum::of(0);
    if (o.kind == OperationKind::getset) return false;
    return o.result.kind == Datum::Kind::nil || o.result.kind == Datum::Kind::not_integer;
}

/// Which values matter: those that somebody was told, or asked for. Where lengths, sums or
/// revisions of others may have been told, all do.
class NamedValues {
public:
    explicit NamedValues(std::span<const Operation* const> operations) {
        for (const Operation* o : operations) {
            all_ = all_ || o->kind == OperationKind::append || o->kind == OperationKind::strlen ||
                   o->kind == OperationKind::incr || o->kind == OperationKind::set_if_revision;
            if (o->known == Known::ok && o->result.kind == Datum::Kind::text)
                texts_.insert(o->result.text);
            if (o->expected.kind == Datum::Kind::text) texts_.insert(o->expected.text);
        }
    }
    bool contains(const std::string& text) const { return all_ || texts_.contains(text); }

private:
    std::unordered_set<std::string_view> texts_;
    bool all_ = false;
};

/// Equal for operations of unknown outcome whose effects nobody can tell apart.
std::string effect_of(const Operation& o, const NamedValues& named) {
    const bool is_set = o.kind == OperationKind::getset;  // its result is lost
    std::string out(name(is_set ? OperationKind::set : o.kind));
    if (o.argument.kind != Datum::Kind::text || named.contains(o.argument.text)) {
        out += ' ' + text_of(o.argument);
    }
    return out + ' ' + text_of(o.expected);
}

}  // namespace

std::size_t Linearization::PositionHash::operator()(const Position& p) const noexcept {
    const std::uint64_t state =
        mix_seed(p.state.value, p.state.revision * 31 + p.state.revision_past);
    return static_cast<std::size_t>(p.done_low ^ state ^ (p.behind_unknown ? low_seed : 0));
}

Linearization::Linearization(RegisterModel& model, std::span<const Operation> operations,
                             bool clients_in_order)
    : model_(model) {
    for (const Operation& operation : operations) {
        if (operation.known == Known::not_applied) continue;
        if (operation.known == Known::unknown && is_read(operation.kind)) continue;
        operations_.push_back(&operation);
    }
    // Those of one instant stay in their order, which is that of their addresses.
    std::ranges::sort(operations_, {}, [](const Operation* o) { return std::pair(o->start, o); });
    const NamedValues named(operations_);
    std::unordered_map<std::string, std::uint32_t> last;
    same_before_.assign(count(), nothing);
    for (std::uint32_t i = 0; i < count(); ++i) {
        if (!is_unknown(i)) continue;
        const Operation& o = *operations_[i];
        std::string effect = effect_of(o, named) + fmt::format(" {}", o.end);
        if (clients_in_order) effect += fmt::format(" {}", o.client);
        const auto [at, first] = last.try_emplace(std::move(effect), i);
        if (!first) same_before_[i] = std::exchange(at->second, i);
    }
    client_before_.assign(count(), nothing);
    if (clients_in_order) order_clients();
    head_ = 2 * count();
    unknown_head_ = head_ + 1;
}

void Linearization::order_clients() {
    std::unordered_map<std::uint32_t, std::uint32_t> last;
    for (std::uint32_t i = 0; i < count(); ++i) {
        const auto [at, first] = last.try_emplace(operations_[i]->client, nothing);
        client_before_[i] = at->second;
        if (!is_unknown(i)) at->second = i;
    }
    last.clear();
    for (const Operation* operation : operations_) {
        const auto next = static_cast<std::uint32_t>(last.size());
        clients_.push_back(last.try_emplace(operation->client, next).first->second);
    }
}

/// The next one to try from `at` on: a call before the first return, as what begins behind it must
/// come behind it; first those whose results are known.
std::uint32_t Linearization::candidate(std::uint32_t at) const noexcept {
    if (at == head_ || is_return(at)) at = links_[unknown_head_].next;
    if (at == unknown_head_ || !is_unknown(at)) return at;
    std::uint32_t first_return = links_[head_].next;
    while (first_return < count()) first_return = links_[first_return].next;
    if (first_return == head_) return at;
    const std::int64_t end = operations_[first_return - count()]->end;
    return operations_[at]->start > end ? unknown_head_ : at;
}

/// Whether doing it now would forbid one of unknown outcome that had to come before it.
bool Linearization::holds_up_unknown(std::uint32_t i) const noexcept {
    for (std::uint32_t u = links_[unknown_head_].next; u != unknown_head_; u = links_[u].next) {
        if (operations_[u]->end < operations_[i]->start && operations_[u]->end >= latest_start_)
            return true;
        if (!clients_.empty() && u < i && clients_[u] == clients_[i]) return true;
    }
    return false;
}

bool Linearization::may_come_next(std::uint32_t i) const noexcept {
    if (position_.behind_unknown && is_blind(*operations_[i])) return false;
    if (client_before_[i] != nothing && !done_[client_before_[i]]) return false;
    if (!clients_.empty() && last_done_[clients_[i]] > i) return false;
    // It came before its end, or never.
    if (is_unknown(i) && operations_[i]->end < latest_start_) return false;
    // Of two that would do the same the earlier one may always stand for the later.
    return same_before_[i] == nothing || done_[same_before_[i]];
}

void Linearization::lift(std::uint32_t link) noexcept {
    links_[links_[link].previous].next = links_[link].next;
    links_[links_[link].next].previous = links_[link].previous;
}

void Linearization::unlift(std::uint32_t link) noexcept {
    links_[links_[link].previous].next = link;
    links_[links_[link].next].previous = link;
}

bool Linearization::advance(std::uint32_t i) {
    if (!may_come_next(i)) return false;
    const auto state = model_.apply(position_.state, *operations_[i]);
    if (!state) return false;
    const Position next{position_.done_low ^ mix_seed(low_seed, i),
                        position_.done_high ^ mix_seed(high_seed, i), *state, is_unknown(i)};
    if (!visited_.insert(next).second) return false;
    const std::uint32_t client = clients_.empty() ? 0 : clients_[i];
    // What fits and changes nothing may as well come now: what was possible before still is.
    const bool certain = changes_nothing(*operations_[i]) && !holds_up_unknown(i);
    path_.push_back({i, position_, last_done_[client], latest_start_, certain});
    position_ = next;
    last_done_[client] = i + 1;
    latest_start_ = std::max(latest_start_, operations_[i]->start);
    done_[i] = true;
    lift(i);
    if (is_unknown(i)) return true;
    lift(count() + i);
    --returns_left_;
    return true;
}

std::uint32_t Linearization::undo() {
    const Step step = path_.back();
    path_.pop_back();
    position_ = step.before;
    last_done_[clients_.empty() ? 0 : clients_[step.operation]] = step.last_done;
    latest_start_ = step.latest_start;
    done_[step.operation] = false;
    if (!is_unknown(step.operation)) {
        unlift(count() + step.operation);
        ++returns_left_;
    }
    unlift(step.operation);
    return step.operation;
}

KeyVerdict Linearization::run(const RegisterState& initial, const CheckLimits& limits,
                              std::vector<RegisterState>* finals) {
    // Everything is to come. At one instant, calls come before returns: those overlap.
    std::vector<std::uint32_t> order;
    std::vector<std::uint32_t> unknown;
    for (std::uint32_t i = 0; i < count(); ++i) {
        (is_unknown(i) ? unknown : order).push_back(i);
        if (!is_unknown(i)) order.push_back(count() + i);
    }
    const auto when = [&](std::uint32_t link) {
        return is_return(link) ? operations_[link - count()]->end : operations_[link]->start;
    };
    std::ranges::sort(order, {}, [&](std::uint32_t link) {
        return std::tuple(when(link), is_return(link), link);
    });
    links_.assign(unknown_head_ + 1, {});
    const auto chain = [&](std::uint32_t head, const std::vector<std::uint32_t>& list) {
        std::uint32_t last = head;
        for (const std::uint32_t link : list) {
            links_[last].next = link;
            links_[link].previous = last;
            last = link;
        }
        links_[last].next = head;
        links_[head].previous = last;
    };
    chain(head_, order);
    chain(unknown_head_, unknown);
    done_.assign(count(), false);
    last_done_.assign(count() + 1, 0);
    latest_start_ = std::numeric_limits<std::int64_t>::min();
    path_.clear();
    visited_.clear();
    returns_left_ = order.size() / 2;
    position_ = {0, 0, initial, false};

    KeyVerdict out;
    const auto record = [&] {
        if (returns_left_ == 0 && finals != nullptr &&
            std::ranges::find(*finals, position_.state) == finals->end()) {
            finals->push_back(position_.state);
        }
    };
    record();
    std::uint32_t at = links_[head_].next;
    while (returns_left_ != 0 || finals != nullptr) {
        if (++out.steps > limits.steps_max) {
            out.verdict = Verdict::undecided;
            return out;
        }
        at = candidate(at);
        if (at == unknown_head_) {  // nothing fits: what was chosen last was wrong
            if (path_.empty()) break;
            bool certain = true;
            while (certain && !path_.empty()) {
                certain = path_.back().certain;
                at = links_[undo()].next;
            }
            if (certain) break;
        } else if (advance(at)) {
            record();
            at = links_[head_].next;
        } else {
            at = links_[at].next;
        }
    }
    out.verdict = returns_left_ == 0 ? Verdict::linearizable : Verdict::not_linearizable;
    return out;
}

KeyVerdict Linearization::search(std::span<const RegisterState> initial,
                                 const CheckLimits& limits) {
    KeyVerdict all{Verdict::not_linearizable, 0};
    for (const RegisterState& state : initial) {
        const KeyVerdict one = run(state, limits, nullptr);
        all.steps += one.steps;
        if (one.verdict == Verdict::not_linearizable) continue;
        all.verdict = one.verdict;
        if (one.verdict == Verdict::linearizable) break;
    }
    return all;
}

std::vector<RegisterState> Linearization::final_states(std::span<const RegisterState> initial,
                                                       const CheckLimits& limits) {
    std::vector<RegisterState> finals;
    for (const RegisterState& state : initial) {
        if (run(state, limits, &finals).verdict == Verdict::undecided) return {};
    }
    return finals;
}

}  // namespace kv::test
