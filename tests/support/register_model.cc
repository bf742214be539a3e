#include "tests/support/register_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "proto/base/assert.h"

namespace kv::test {

namespace {

/// As Redis takes integers: no sign but a minus, no leading zeros.
std::optional<std::int64_t> integer_of(std::string_view text) {
    std::int64_t value = 0;
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || fmt::format("{}", value) != text) return std::nullopt;
    return value;
}

/// One operation in one state: what it would answer and leave behind.
struct Effect {
    Datum result;
    bool writes = false;
    bool removes = false;
    std::optional<std::string> text;  ///< writes
};

bool agrees(const Datum& told, const Datum& result) {
    return told.kind == Datum::Kind::none || told == result;
}

}  // namespace

std::uint32_t RegisterModel::number_of(std::string_view text) {
    const auto found = numbers_.find(text);
    if (found != numbers_.end()) return found->second;
    texts_.emplace_back(text);
    const auto number = static_cast<std::uint32_t>(texts_.size() - 1);
    numbers_.emplace(texts_.back(), number);
    return number;
}

std::optional<RegisterState> RegisterModel::apply(const RegisterState& before,
                                                  const Operation& operation) {
    const bool unknown = operation.known == Known::unknown;
    const bool present = before.value != 0;
    const std::string_view old = texts_[before.value];
    const auto old_or_nil = [&] { return present ? Datum::of(std::string(old)) : Datum::nil(); };
    const auto size = [](std::size_t bytes) { return Datum::of(static_cast<std::int64_t>(bytes)); };
    RegisterState state = before;
    Effect effect;
    const auto set_if = [&](bool condition) {
        effect.writes = condition;
        effect.text = operation.argument.text;
        effect.result = condition ? Datum::ok() : Datum::nil();
    };
    switch (operation.kind) {
        case OperationKind::get: effect.result = old_or_nil(); break;
        case OperationKind::exists: effect.result = Datum::of(present ? 1 : 0); break;
        case OperationKind::strlen: effect.result = size(old.size()); break;
        case OperationKind::set: set_if(true); break;
        case OperationKind::set_nx: set_if(!present); break;
        case OperationKind::set_xx: set_if(present); break;
        case OperationKind::set_if_value: set_if(present && old == operation.expected.text); break;
        case OperationKind::set_if_revision: {
            const auto wanted = static_cast<std::uint64_t>(operation.expected.integer);
            // Of a value whose revision nobody was told, the condition may or may not hold.
            const bool open =
                present && state.revision == 0 && wanted > state.revision_past && wanted != 0;
            const bool held = open ? unknown || operation.result.kind != Datum::Kind::nil
                                   : wanted == (present ? state.revision : 0) &&
                                         (!present || state.revision != 0);
            if (open && held) state.revision = wanted;
            set_if(held);
            break;
        }
        case OperationKind::getset:
            set_if(true);
            effect.result = old_or_nil();
            break;
        case OperationKind::getdel:
            effect.result = old_or_nil();
            effect.removes = present;
            break;
        case OperationKind::del:
            effect.result = Datum::of(present ? 1 : 0);
            effect.removes = present;
            break;
        case OperationKind::erase: effect.removes = present; break;
        case OperationKind::append:
            effect.writes = true;
            effect.text = std::string(old) + operation.argument.text;
            effect.result = size(effect.text->size());
            break;
        case OperationKind::incr: {
            const auto number = present ? integer_of(old) : std::optional<std::int64_t>(0);
            std::int64_t sum = 0;
            if (!number || __builtin_add_overflow(*number, operation.argument.integer, &sum)) {
                effect.result = Datum::not_integer();
                break;
            }
            effect.writes = true;
            effect.text = fmt::format("{}", sum);
            effect.result = Datum::of(sum);
            break;
        }
    }
    if (!unknown && !agrees(operation.result, effect.result)) return std::nullopt;
    const std::uint64_t past = std::max(state.revision_past, state.revision);
    if (effect.writes) {
        const std::uint64_t told = unknown ? 0 : operation.revision;
        if (told != 0 && told <= past) return std::nullopt;
        return RegisterState{number_of(*effect.text), told, std::max(past, told)};
    }
    if (effect.removes) return RegisterState{0, 0, past};
    if (unknown) return std::nullopt;
    if (operation.revision != 0 && present && is_read(operation.kind)) {
        if (state.revision != 0 && state.revision != operation.revision) return std::nullopt;
        if (state.revision == 0 && operation.revision <= past) return std::nullopt;
        state.revision = state.revision_past = operation.revision;
    }
    return state;
}

std::string RegisterModel::describe(const RegisterState& state) const {
    std::string out = state.value == 0 ? "absent" : text_of(Datum::of(texts_[state.value]));
    if (state.revision != 0) out += fmt::format(" at revision {}", state.revision);
    return out;
}

}  // namespace kv::test
