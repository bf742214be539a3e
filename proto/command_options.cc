#include "proto/command_options.h"

#include <charconv>
#include <limits>
#include <optional>
#include <string>

#include "proto/base/integer.h"
#include "proto/request_check.h"

namespace kv {

namespace {

constexpr std::string_view not_an_integer = "value is not an integer or out of range";

bool is_any_of(std::string_view word, std::initializer_list<std::string_view> names) noexcept {
    for (const std::string_view name : names) {
        if (equals_ignoring_case(word, name)) return true;
    }
    return false;
}

bool is_expiry(std::string_view option) noexcept {
    return is_any_of(option, {"ex", "px", "exat", "pxat"});
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) noexcept {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, failed] = std::from_chars(text.data(), end, number);
    if (failed != std::errc{} || stop != end) return std::nullopt;
    return number;
}

/// EX and its kin, with the number behind: first what Redis says, then that they come later.
Error expiry_error(std::string_view number, std::string_view command) {
    const auto parsed = parse_integer(number);
    if (!parsed) return {Errc::syntax, std::string(not_an_integer)};
    if (*parsed <= 0) {
        std::string text = "invalid expire time in '";
        return {Errc::syntax, text.append(command).append("' command")};
    }
    return {Errc::unsupported, "keys do not expire in this version; expiry comes later"};
}

/// IFEQ and IFREV: takes their operand too, behind `at`. False: it is neither.
Result<bool> take_comparison(Args options, std::size_t& at, WriteOptions& out) {
    const bool equal = equals_ignoring_case(options[at], "ifeq");
    if (!equal && !equals_ignoring_case(options[at], "ifrev")) return false;
    if (++at == options.size()) return fail(Errc::syntax);
    if (equal) {
        out.flags |= flag_if_equal;
        out.if_equal = options[at];
        return true;
    }
    const auto revision = parse_unsigned(options[at]);
    if (!revision) return fail(Errc::syntax, std::string(not_an_integer));
    out.flags |= flag_if_revision;
    out.if_revision = *revision;
    return true;
}

}  // namespace

Result<WriteOptions> parse_set_options(Args options) {
    WriteOptions out;
    std::optional<std::string_view> expiry;
    bool keep = false;
    for (std::size_t at = 0; at < options.size(); ++at) {
        const std::string_view option = options[at];
        if (equals_ignoring_case(option, "get")) {
            out.flags |= flag_return_previous;
        } else if (equals_ignoring_case(option, "keepttl") && !expiry) {
            keep = true;
        } else if (is_expiry(option) && !keep && !expiry && at + 1 < options.size()) {
            expiry = options[++at];
        } else if ((out.flags & condition_flags) != 0) {
            // Redis takes NX twice; of different ones none.
            const bool same = (equals_ignoring_case(option, "nx") && out.flags & flag_if_absent) ||
                              (equals_ignoring_case(option, "xx") && out.flags & flag_if_present);
            if (!same) return fail(Errc::syntax);
        } else if (equals_ignoring_case(option, "nx")) {
            out.flags |= flag_if_absent;
        } else if (equals_ignoring_case(option, "xx")) {
            out.flags |= flag_if_present;
        } else {
            KV_TRY(const bool taken, take_comparison(options, at, out));
            if (!taken) return fail(Errc::syntax);
        }
    }
    if (expiry) return fail(expiry_error(*expiry, "set"));
    return out;
}

Result<WriteOptions> parse_delex_options(Args options) {
    WriteOptions out;
    if (options.empty()) return out;
    std::size_t at = 0;
    KV_TRY(const bool taken, take_comparison(options, at, out));
    if (!taken || at + 1 != options.size()) return fail(Errc::syntax);
    return out;
}

Result<ScanOptions> parse_scan_options(Args args) {
    ScanOptions out;
    const auto cursor = parse_unsigned(args[0]);
    if (!cursor) return fail(Errc::syntax, "invalid cursor");
    out.cursor = *cursor;
    for (std::size_t at = 1; at < args.size(); at += 2) {
        if (at + 1 == args.size()) return fail(Errc::syntax);
        const std::string_view value = args[at + 1];
        if (equals_ignoring_case(args[at], "count")) {
            const auto count = parse_integer(value);
            if (!count) return fail(Errc::syntax, std::string(not_an_integer));
            if (*count < 1) return fail(Errc::syntax);
            out.count = static_cast<std::uint64_t>(*count);
        } else if (equals_ignoring_case(args[at], "match")) {
            out.pattern = value;
            out.has_pattern = value != "*";
        } else if (equals_ignoring_case(args[at], "type")) {
            out.type = value;
            out.has_type = true;
        } else {
            return fail(Errc::syntax);
        }
    }
    return out;
}

Status check_getex_options(Args options) {
    if (options.empty()) return {};
    if (options.size() == 1 && equals_ignoring_case(options[0], "persist")) return {};
    if (options.size() == 2 && is_expiry(options[0])) {
        return fail(expiry_error(options[1], "getex"));
    }
    return fail(Errc::syntax);
}

Status check_memory_usage_options(Args options) {
    for (std::size_t at = 0; at < options.size(); at += 2) {
        if (!equals_ignoring_case(options[at], "samples") || at + 1 == options.size()) {
            return fail(Errc::syntax);
        }
        const auto samples = parse_integer(options[at + 1]);
        if (!samples) return fail(Errc::syntax, std::string(not_an_integer));
        if (*samples < 0) return fail(Errc::syntax);
    }
    return {};
}

}  // namespace kv
