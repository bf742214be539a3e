#include "proto/resp/resp_commands.h"

#include <string>

#include "proto/command_table.h"
#include "proto/request_check.h"

namespace kv::resp {

namespace {

constexpr std::size_t echo_bytes_max = 128;  // of a client's own bytes in an error

bool is_http(std::string_view word) noexcept {
    return equals_ignoring_case(word, "post") || equals_ignoring_case(word, "host:");
}

void refuse_unknown(std::span<const std::string_view> words, Request& out) {
    std::string args;
    for (std::size_t i = 1; i < words.size() && args.size() < echo_bytes_max; ++i) {
        const std::size_t room = echo_bytes_max - args.size();
        args.append("'").append(words[i].substr(0, room)).append("' ");
    }
    std::string text = "unknown command '";
    text.append(words[0].substr(0, echo_bytes_max));
    text.append("', with args beginning with: ").append(args);
    refuse(out, Errc::unknown_command, text);
}

void refuse_subcommand(std::string_view container, std::string_view word, Request& out) {
    std::string text = "unknown subcommand '";
    text.append(word.substr(0, echo_bytes_max)).append("'. Try ");
    for (const char c : container) text.push_back(static_cast<char>(c & ~0x20));
    refuse(out, Errc::unknown_command, text.append(" HELP."));
}

void refuse_with_reason(const CommandRow& row, Request& out) {
    std::string text;
    if (row.reason.starts_with("not supported")) {
        text.append("'").append(row.name).append("' is ");
    }
    refuse(out, Errc::unsupported, text.append(row.reason));
}

/// The row that `words` name; null: `out` is refused.
const CommandRow* find_row(std::span<const std::string_view> words, Request& out) {
    const CommandRow* const row = find_command(words[0]);
    if (row == nullptr || row->is_subcommand()) {
        refuse_unknown(words, out);
        return nullptr;
    }
    const bool has_subcommands = row->kind == CommandClass::container || row->verb == Verb::command;
    if (!has_subcommands || words.size() == 1) return row;
    const CommandRow* const subcommand =
        words[1].empty() ? nullptr : find_command(words[0], words[1]);
    if (subcommand == nullptr) refuse_subcommand(row->name, words[1], out);
    return subcommand;
}

}  // namespace

bool resolve_command(std::span<const std::string_view> words, const RequestLimits& limits,
                     Request& out) {
    if (is_http(words[0])) {
        refuse(out, Errc::syntax, "HTTP is not served here");
        return false;
    }
    const CommandRow* const row = find_row(words, out);
    if (row == nullptr) return true;
    if (row->kind == CommandClass::container || !row->takes(words.size())) {
        refuse_arity(out, row->name);
        return true;
    }
    if (row->kind == CommandClass::refused) {
        refuse_with_reason(*row, out);
        return true;
    }
    out.verb = row->verb;
    out.args = words.subspan(row->name_words());
    check_request(out, limits);
    return true;
}

}  // namespace kv::resp
