#include "tests/support/history.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <iterator>

#include "proto/base/assert.h"

namespace kv::test {

namespace {

constexpr std::size_t fields = 10;
constexpr std::string_view known_names[] = {"ok", "not_applied", "unknown"};

template <typename T>
bool parse_number(std::string_view text, T& out) noexcept {
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && stopped == text.data() + text.size();
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c < '!' || c > '~' || c == '%') {
            out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
    return out;
}

std::optional<std::string> unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        unsigned byte = 0;
        if (i + 2 >= text.size()) return std::nullopt;
        const auto [stopped, error] =
            std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
        if (error != std::errc() || stopped != text.data() + i + 3) return std::nullopt;
        out += static_cast<char>(byte);
        i += 2;
    }
    return out;
}

std::optional<Datum> parse_datum(std::string_view text) {
    if (text == "-") return Datum{};
    if (text == "+") return Datum::ok();
    if (text == "_") return Datum::nil();
    if (text == "!") return Datum::not_integer();
    std::int64_t number = 0;
    if (text.starts_with(':') && parse_number(text.substr(1), number)) return Datum::of(number);
    if (!text.starts_with('=')) return std::nullopt;
    auto bytes = unescaped(text.substr(1));
    if (!bytes) return std::nullopt;
    return Datum::of(*std::move(bytes));
}

std::optional<Operation> parse_line(std::string_view line) {
    std::array<std::string_view, fields> field;
    for (std::size_t i = 0; i < fields; ++i) {
        const std::size_t space = line.find(' ');
        if ((space == line.npos) != (i + 1 == fields)) return std::nullopt;
        field[i] = line.substr(0, space);
        line.remove_prefix(std::min(line.size(), field[i].size() + 1));
    }
    Operation out;
    bool good = parse_number(field[0], out.client) && parse_number(field[1], out.start);
    good = good && (field[2] == "-" || parse_number(field[2], out.end));
    std::size_t known = 0;
    while (known < std::size(known_names) && known_names[known] != field[3]) ++known;
    std::size_t kind = 0;
    while (kind <= static_cast<std::size_t>(operation_kind_last) &&
           name(static_cast<OperationKind>(kind)) != field[4]) {
        ++kind;
    }
    const auto key = parse_datum(field[5]);
    auto argument = parse_datum(field[6]);
    auto expected = parse_datum(field[7]);
    auto result = parse_datum(field[8]);
    good = good && known < std::size(known_names) &&
           kind <= static_cast<std::size_t>(operation_kind_last) && key &&
           key->kind == Datum::Kind::text && argument && expected && result &&
           parse_number(field[9], out.revision);
    if (!good) return std::nullopt;
    out.known = static_cast<Known>(known);
    out.kind = static_cast<OperationKind>(kind);
    out.key = key->text;
    out.argument = *std::move(argument);
    out.expected = *std::move(expected);
    out.result = *std::move(result);
    if (field[2] == "-") {
        if (out.known != Known::unknown) return std::nullopt;
        out.end = never_ends;
    }
    if (out.end < out.start) return std::nullopt;
    return out;
}

}  // namespace

std::string_view name(OperationKind kind) noexcept {
    switch (kind) {
        case OperationKind::get: return "get";
        case OperationKind::set: return "set";
        case OperationKind::del: return "del";
        case OperationKind::erase: return "erase";
        case OperationKind::exists: return "exists";
        case OperationKind::strlen: return "strlen";
        case OperationKind::incr: return "incr";
        case OperationKind::append: return "append";
        case OperationKind::getset: return "getset";
        case OperationKind::getdel: return "getdel";
        case OperationKind::set_nx: return "set_nx";
        case OperationKind::set_xx: return "set_xx";
        case OperationKind::set_if_value: return "set_if_value";
        case OperationKind::set_if_revision: return "set_if_revision";
    }
    KV_UNREACHABLE("OperationKind {}", static_cast<unsigned>(kind));
}

std::string text_of(const Datum& datum) {
    switch (datum.kind) {
        case Datum::Kind::none: return "-";
        case Datum::Kind::ok: return "+";
        case Datum::Kind::nil: return "_";
        case Datum::Kind::not_integer: return "!";
        case Datum::Kind::integer: return fmt::format(":{}", datum.integer);
        case Datum::Kind::text: return fmt::format("={}", escaped(datum.text));
    }
    KV_UNREACHABLE("Datum::Kind {}", static_cast<unsigned>(datum.kind));
}

std::size_t History::begin(Operation operation) {
    operation.known = Known::unknown;
    operation.end = never_ends;
    operations_.push_back(std::move(operation));
    return operations_.size() - 1;
}

void History::finish(std::size_t number, std::int64_t end, Known known, Datum result,
                     std::uint64_t revision) {
    Operation& operation = operations_[number];
    KV_ASSERT(end >= operation.start);
    operation.end = end;
    operation.known = known;
    operation.result = std::move(result);
    operation.revision = revision;
}

void History::end_unknown(std::int64_t time) {
    for (Operation& operation : operations_) {
        if (operation.known == Known::unknown && operation.end == never_ends) operation.end = time;
    }
}

std::string History::text() const {
    std::string out;
    for (const Operation& o : operations_) {
        const std::string end = o.end == never_ends ? "-" : fmt::format("{}", o.end);
        fmt::format_to(std::back_inserter(out), "{} {} {} {} {} ={} {} {} {} {}\n", o.client,
                       o.start, end, known_names[static_cast<std::size_t>(o.known)], name(o.kind),
                       escaped(o.key), text_of(o.argument), text_of(o.expected), text_of(o.result),
                       o.revision);
    }
    return out;
}

Result<History> History::parse(std::string_view text) {
    History history;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.empty() || line.starts_with('#')) continue;
        auto operation = parse_line(line);
        if (!operation) return fail(Errc::syntax, fmt::format("line {}: {}", number, line));
        history.add(*std::move(operation));
    }
    return history;
}

}  // namespace kv::test
