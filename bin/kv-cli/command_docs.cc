#include "bin/kv-cli/command_docs.h"

#include <algorithm>

namespace kv::cli {

namespace {

using client::Reply;
using client::ReplyKind;

bool is_list(const Reply& reply) {
    return reply.kind == ReplyKind::array || reply.kind == ReplyKind::map ||
           reply.kind == ReplyKind::set;
}

/// The value of a map's key, in either version of RESP; nullptr: not there.
const Reply* member(const Reply& map, std::string_view key) {
    if (!is_list(map)) return nullptr;
    for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
        if (map.items[i].text == key) return &map.items[i + 1];
    }
    return nullptr;
}

std::string text_of(const Reply& map, std::string_view key) {
    const Reply* const found = member(map, key);
    return found != nullptr ? found->text : std::string();
}

bool flagged(const Reply& argument, std::string_view flag) {
    const Reply* const flags = member(argument, "flags");
    if (flags == nullptr) return false;
    return std::ranges::any_of(flags->items, [&](const Reply& each) { return each.text == flag; });
}

std::string arguments_of(const Reply& command, std::string_view separator);

/// "key", "[MATCH pattern]", "[NX | XX]", "key value [key value ...]".
std::string argument_text(const Reply& argument) {
    const std::string type = text_of(argument, "type");
    const std::string token = text_of(argument, "token");
    std::string body;
    if (type == "oneof") {
        body = arguments_of(argument, " | ");
    } else if (type == "block") {
        body = arguments_of(argument, " ");
    } else if (type != "pure-token") {
        body = text_of(argument, "display_text");
        if (body.empty()) body = text_of(argument, "name");
    }
    std::string text = token;
    if (!text.empty() && !body.empty()) text.push_back(' ');
    text += body;
    const bool optional = flagged(argument, "optional");
    if (flagged(argument, "multiple")) {
        const std::string again = flagged(argument, "multiple_token") ? text : body;
        text += optional ? " ..." : " [" + again + " ...]";
    }
    return optional ? "[" + text + "]" : text;
}

std::string arguments_of(const Reply& command, std::string_view separator) {
    const Reply* const arguments = member(command, "arguments");
    std::string out;
    if (arguments == nullptr) return out;
    for (const Reply& argument : arguments->items) {
        if (!out.empty()) out.append(separator);
        out += argument_text(argument);
    }
    return out;
}

/// "config|get" as people type it.
std::string typed_name(std::string name) {
    for (char& c : name) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        if (c == '|') c = ' ';
    }
    return name;
}

bool read_into(std::vector<CommandHelp>& out, const Reply& docs) {
    if (!is_list(docs) || docs.items.size() % 2 != 0) return false;
    for (std::size_t i = 0; i < docs.items.size(); i += 2) {
        const Reply& command = docs.items[i + 1];
        if (docs.items[i].text.empty() || !is_list(command)) return false;
        const Reply* const subcommands = member(command, "subcommands");
        if (subcommands != nullptr && !subcommands->items.empty()) {
            if (!read_into(out, *subcommands)) return false;
            continue;
        }
        out.push_back({typed_name(docs.items[i].text), arguments_of(command, " "),
                       text_of(command, "summary")});
    }
    return true;
}

}  // namespace

std::optional<std::vector<CommandHelp>> read_command_docs(const Reply& docs) {
    std::vector<CommandHelp> out;
    if (!read_into(out, docs) || out.empty()) return std::nullopt;
    return out;
}

}  // namespace kv::cli
