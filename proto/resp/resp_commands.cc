#include "proto/resp/resp_commands.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "proto/request_check.h"

namespace kv::resp {

namespace {

constexpr std::size_t echo_bytes_max = 128;  // of a client's own bytes in an error
constexpr std::size_t packed_bytes_max = 8;

/// A word of up to eight letters as an integer, in lower case; 0 for longer ones. Setting bit 5
/// makes letters equal whose case differs and maps nothing else onto a letter.
constexpr std::uint64_t packed(std::string_view word) noexcept {
    if (word.size() > packed_bytes_max) return 0;
    std::uint64_t value = 0;
    for (const char c : word) value = value << 8 | (static_cast<unsigned char>(c) | 0x20u);
    return value;
}

/// Verbs of one word; Verb::invalid for what is not one.
Verb find_verb(std::string_view word) noexcept {
    switch (packed(word)) {
        case packed("get"): return Verb::get;
        case packed("set"): return Verb::set;
        case packed("del"): return Verb::del;
        case packed("mget"): return Verb::mget;
        case packed("mset"): return Verb::mset;
        case packed("exists"): return Verb::exists;
        case packed("ping"): return Verb::ping;
        case packed("echo"): return Verb::echo;
        case packed("keys"): return Verb::keys;
        case packed("dbsize"): return Verb::dbsize;
        case packed("flushall"): return Verb::flushall;
        case packed("command"): return Verb::command;
        case packed("info"): return Verb::info;
        case packed("select"): return Verb::select;
        case packed("quit"): return Verb::quit;
        default: break;
    }
    if (equals_ignoring_case(word, "addserver")) return Verb::add_server;
    if (equals_ignoring_case(word, "removeserver")) return Verb::remove_server;
    return Verb::invalid;
}

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

/// CONFIG GET and CLIENT SETINFO: `name` is the container in lower case.
void resolve_container(std::span<const std::string_view> words, std::string_view name,
                       std::string_view subcommand, Verb verb, Request& out) {
    if (words.size() < 2) return refuse_arity(out, name);
    if (!equals_ignoring_case(words[1], subcommand)) {
        std::string upper(name);
        for (char& c : upper) c = static_cast<char>(c & ~0x20);
        std::string text = "unknown subcommand '";
        text.append(words[1].substr(0, echo_bytes_max));
        text.append("'. Try ").append(upper).append(" HELP.");
        return refuse(out, Errc::unknown_command, text);
    }
    out.verb = verb;
    out.args = words.subspan(2);
}

/// SET with options: which of them Redis knows, so that the error says whose fault it is.
void refuse_set_options(std::span<const std::string_view> options, Request& out) {
    constexpr std::string_view known[] = {"NX", "XX", "GET", "EX", "PX", "EXAT", "PXAT", "KEEPTTL"};
    const auto match = std::ranges::find_if(
        known, [&](std::string_view option) { return equals_ignoring_case(option, options[0]); });
    if (match == std::ranges::end(known)) return refuse(out, Errc::syntax, "syntax error");
    std::string text = "syntax error, option ";
    text.append(*match).append(" of 'set' is not supported yet");
    refuse(out, Errc::unsupported, text);
}

}  // namespace

bool resolve_command(std::span<const std::string_view> words, const RequestLimits& limits,
                     Request& out) {
    out.verb = find_verb(words[0]);
    out.args = words.subspan(1);
    if (out.verb == Verb::invalid) {
        if (is_http(words[0])) {
            refuse(out, Errc::syntax, "HTTP is not served here");
            return false;
        }
        if (equals_ignoring_case(words[0], "config")) {
            resolve_container(words, "config", "get", Verb::config_get, out);
        } else if (equals_ignoring_case(words[0], "client")) {
            resolve_container(words, "client", "setinfo", Verb::client_setinfo, out);
        } else {
            refuse_unknown(words, out);
        }
        if (out.verb == Verb::invalid) return true;
    }
    if (out.verb == Verb::set && out.args.size() > 2) {
        refuse_set_options(out.args.subspan(2), out);
        return true;
    }
    if (out.verb == Verb::keys && out.args.empty()) {  // optional for other protocols only
        refuse_arity(out, "keys");
        return true;
    }
    check_request(out, limits);
    return true;
}

}  // namespace kv::resp
