#pragma once

/// RegisterModel: what one key does, one operation after the other. Values are kept once and known
/// by number, so that states are small and quick to compare.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tests/support/history.h"

namespace kv::test {

/// Revisions are those of a whole shard: of one key's it is known that each change has a higher one
/// than the change before, and which one where a client was told.
struct RegisterState {
    std::uint32_t value = 0;          ///< 0: absent
    std::uint64_t revision = 0;       ///< of the value; 0: nobody was told
    std::uint64_t revision_past = 0;  ///< the highest that is known of this value or earlier ones

    bool operator==(const RegisterState&) const = default;
};

class RegisterModel {
public:
    RegisterModel() { texts_.emplace_back(); }

    /// The state after `operation` took effect in `before`; nothing: it cannot have, given what its
    /// client knows. An operation of unknown outcome takes effect only by changing something, as
    /// otherwise it might as well not have.
    std::optional<RegisterState> apply(const RegisterState& before, const Operation& operation);

    std::string_view text(std::uint32_t value) const noexcept { return texts_[value]; }
    std::string describe(const RegisterState& state) const;

private:
    std::uint32_t number_of(std::string_view text);

    std::deque<std::string> texts_;  ///< stay where they are
    std::unordered_map<std::string_view, std::uint32_t> numbers_;
};

}  // namespace kv::test
