#pragma once

/// The operations a load is made of, and their shares.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kv::bench {

enum class Operation : std::uint8_t { get, set, del, incr };
inline constexpr std::size_t operations_count = 4;

std::string_view name(Operation operation) noexcept;

/// Shares add up to 1.
class Mix {
public:
    Mix() noexcept : Mix(Operation::set) {}
    explicit Mix(Operation only) noexcept { shares_[static_cast<std::size_t>(only)] = 1; }
    /// `reads` of GET, the rest SET.
    static Mix of_reads(double reads) noexcept;
    /// "get=80,set=20": relative weights; an operation alone weighs 1.
    static std::optional<Mix> parse(std::string_view text) noexcept;

    double share(Operation operation) const noexcept {
        return shares_[static_cast<std::size_t>(operation)];
    }
    bool has(Operation operation) const noexcept { return share(operation) > 0; }
    /// The only operation there is, when it is.
    std::optional<Operation> single() const noexcept;
    /// "80 % GET, 20 % SET".
    std::string text() const;
    bool operator==(const Mix&) const = default;

private:
    std::array<double, operations_count> shares_{};
};

}  // namespace kv::bench
