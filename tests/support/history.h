#pragma once

/// History: what clients asked of keys, when, and what they were told. Whether that can be true is
/// decided in linearizability.h, key by key.
///
/// Text format, for histories recorded elsewhere: one line for each operation, ten fields with one
/// space between, `#` begins a line of comment:
///
///     client start end outcome kind key argument expected result revision
///
///     client    decimal
///     start     nanoseconds of one clock for all clients, signed decimal
///     end       the same; `-`: it never ended. Of an unknown one: it took effect by then, or never
///               will (the server that had it was replaced, say)
///     outcome   `ok`, `not_applied` or `unknown`
///     kind      as name(OperationKind) writes it
///     key, argument, expected, result
///               `=text`, with bytes outside of `!`..`~` and `%` itself as %XX; `:integer`;
///               `+`: OK; `!`: the error of a value that is no integer; `-`: nothing (argument,
///               expected), not told (result); `_`: nil, or a condition that did not hold
///     revision  of the value written or read, decimal; 0: not told
///
///     3 1000 2500 ok set =balance =100 - + 0
///     4 1200 - unknown incr =balance :5 - - 0

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/result.h"

namespace kv::test {

enum class OperationKind : std::uint8_t {
    get,              ///< -> text or nil
    set,              ///< argument text -> ok
    del,              ///< -> integer 0 or 1
    erase,            ///< a del that does not tell (FLUSHALL, a DEL of several keys) -> nothing
    exists,           ///< -> integer 0 or 1
    strlen,           ///< -> integer
    incr,             ///< argument integer, also negative -> integer, or not_integer
    append,           ///< argument text -> integer: the new length
    getset,           ///< argument text -> the old text or nil
    getdel,           ///< -> the old text or nil
    set_nx,           ///< argument text; only if absent -> ok or nil
    set_xx,           ///< argument text; only if present -> ok or nil
    set_if_value,     ///< argument text, expected text -> ok or nil
    set_if_revision,  ///< argument text, expected integer; 0: absent -> ok or nil
};
inline constexpr OperationKind operation_kind_last = OperationKind::set_if_revision;
std::string_view name(OperationKind kind) noexcept;

/// Whether it leaves its key as it is.
constexpr bool is_read(OperationKind kind) noexcept {
    return kind == OperationKind::get || kind == OperationKind::exists ||
           kind == OperationKind::strlen;
}

struct Datum {
    enum class Kind : std::uint8_t { none, ok, nil, not_integer, integer, text };
    Kind kind = Kind::none;
    std::int64_t integer = 0;
    std::string text;

    static Datum ok() { return {Kind::ok, 0, {}}; }
    static Datum nil() { return {Kind::nil, 0, {}}; }
    static Datum not_integer() { return {Kind::not_integer, 0, {}}; }
    static Datum of(std::int64_t value) { return {Kind::integer, value, {}}; }
    static Datum of(std::string value) { return {Kind::text, 0, std::move(value)}; }
    bool operator==(const Datum&) const = default;
};

/// What the client knows of its operation.
enum class Known : std::uint8_t {
    ok,           ///< it took effect between start and end, with this result
    not_applied,  ///< it took no effect and never will
    unknown,      ///< it takes effect between start and end, or never
};

inline constexpr std::int64_t never_ends = std::numeric_limits<std::int64_t>::max();

struct Operation {
    std::uint32_t client = 0;
    std::string key;
    OperationKind kind = OperationKind::get;
    Datum argument;
    Datum expected;
    std::int64_t start = 0;  ///< nanoseconds
    std::int64_t end = 0;    ///< not before start; never_ends: it has none
    Known known = Known::unknown;
    Datum result;
    std::uint64_t revision = 0;

    bool operator==(const Operation&) const = default;
};

class History {
public:
    /// An operation begins; unknown until finish(). Returns its number.
    std::size_t begin(Operation operation);
    void finish(std::size_t number, std::int64_t end, Known known, Datum result = {},
                std::uint64_t revision = 0);
    /// What is unknown and has no end by now took effect before `time`, or never will.
    void end_unknown(std::int64_t time);
    void add(Operation operation) { operations_.push_back(std::move(operation)); }

    std::span<const Operation> operations() const noexcept { return operations_; }

    std::string text() const;
    /// Errors: `syntax`, with the number of the line.
    static Result<History> parse(std::string_view text);

private:
    std::vector<Operation> operations_;
};

/// One datum as in a line of the text format.
std::string text_of(const Datum& datum);

}  // namespace kv::test
