#include "proto/request_check.h"

#include <algorithm>

#include "proto/base/integer.h"
#include "proto/command_options.h"
#include "proto/command_table.h"
#include "proto/line.h"

namespace kv {

namespace {

constexpr std::size_t host_bytes_max = 255;

void check_flushall(Request& request) {
    if (request.args.empty()) return;
    const bool known = equals_ignoring_case(request.args[0], "async") ||
                       equals_ignoring_case(request.args[0], "sync");
    if (request.args.size() > 1 || !known) refuse(request, Errc::syntax, sentence(Errc::syntax));
}

void check_select(Request& request) {
    const auto number = parse_integer(request.args[0]);
    if (!number) {
        refuse(request, Errc::syntax, sentence(Errc::not_integer));
    } else if (*number < INT32_MIN || *number > INT32_MAX) {
        refuse(request, Errc::syntax,
               "value is out of range, value must between -2147483648 and 2147483647");
    } else if (*number != 0) {
        refuse(request, Errc::syntax, "DB index is out of range");
    }
}

void check_client_setinfo(Request& request) {
    const bool is_name = equals_ignoring_case(request.args[0], "lib-name");
    if (!is_name && !equals_ignoring_case(request.args[0], "lib-ver")) {
        std::string text = "Unrecognized option '";
        text.append(request.args[0].substr(0, 128)).append("'");
        return refuse(request, Errc::syntax, text);
    }
    const bool printable =
        std::ranges::all_of(request.args[1], [](char c) { return c >= '!' && c <= '~'; });
    if (printable) return;
    refuse(request, Errc::syntax,
           is_name ? "lib-name cannot contain spaces, newlines or special characters."
                   : "lib-ver cannot contain spaces, newlines or special characters.");
}

void check_add_server(Request& request) {
    const auto args = request.args;
    if (!parse_positive(args[0], UINT32_MAX)) {
        return refuse(request, Errc::syntax, "ADDSERVER: invalid node id");
    }
    const bool host_fits = !args[1].empty() && args[1].size() <= host_bytes_max &&
                           std::ranges::all_of(args[1], [](char c) { return c > ' ' && c <= '~'; });
    if (!host_fits) return refuse(request, Errc::syntax, "ADDSERVER: invalid host");
    if (!parse_positive(args[2], 65535)) {
        return refuse(request, Errc::syntax, "ADDSERVER: invalid raft_port");
    }
    if (!parse_positive(args[3], 65535)) {
        refuse(request, Errc::syntax, "ADDSERVER: invalid client_port");
    }
}

void check_remove_server(Request& request) {
    if (parse_positive(request.args[0], UINT32_MAX)) return;
    refuse(request, Errc::syntax, "REMOVESERVER: invalid node id");
}

void check_integers(Request& request, std::size_t first) {
    for (const std::string_view arg : request.args.subspan(first)) {
        if (parse_integer(arg)) continue;
        return refuse(request, Errc::not_integer, sentence(Errc::not_integer));
    }
}

/// What is subtracted is added with its sign turned, and the lowest number has no such.
void check_decrby(Request& request) {
    check_integers(request, 1);
    if (request.verb == Verb::invalid || parse_integer(request.args[1]) != INT64_MIN) return;
    refuse(request, Errc::overflow, "decrement would overflow");
}

void check_wait(Request& request) {
    if (!parse_integer(request.args[0])) {
        return refuse(request, Errc::not_integer, sentence(Errc::not_integer));
    }
    const auto timeout = parse_integer(request.args[1]);
    if (!timeout) {
        refuse(request, Errc::not_integer, "timeout is not an integer or out of range");
    } else if (*timeout < 0) {
        refuse(request, Errc::syntax, "timeout is negative");
    }
}

/// The outcome of parsing options, which is not needed yet.
template <typename T>
void require(Request& request, const Result<T>& parsed) {
    if (!parsed) refuse(request, parsed.error().code, parsed.error().text());
}

void check_sizes(Request& request, const CommandRow& row, const RequestLimits& limits) {
    const std::size_t name_words = row.name_words();
    bool keys_fit = true;
    for_each_key(row, request.args.size() + name_words, [&](std::size_t word) {
        const std::size_t bytes = request.args[word - name_words].size();
        keys_fit = keys_fit && bytes != 0 && bytes <= limits.key_bytes_max;
    });
    if (!keys_fit) return refuse(request, Errc::key_size, sentence(Errc::key_size));
    std::size_t too_long = 0;
    for (const std::string_view arg : request.args) too_long += arg.size() > limits.value_bytes_max;
    for_each_key(row, request.args.size() + name_words, [&](std::size_t word) {
        too_long -= request.args[word - name_words].size() > limits.value_bytes_max;
    });
    if (too_long != 0) refuse(request, Errc::value_size, sentence(Errc::value_size));
}

void check_options(Request& request) {
    const Args args = request.args;
    switch (request.verb) {
        case Verb::set: return require(request, parse_set_options(args.subspan(2)));
        case Verb::delex: return require(request, parse_delex_options(args.subspan(1)));
        case Verb::scan: return require(request, parse_scan_options(args));
        case Verb::getex: return require(request, check_getex_options(args.subspan(1)));
        case Verb::memory_usage:
            return require(request, check_memory_usage_options(args.subspan(1)));
        case Verb::incrby:
        case Verb::getrange:
        case Verb::substr: return check_integers(request, 1);
        case Verb::decrby: return check_decrby(request);
        case Verb::wait: return check_wait(request);
        case Verb::flushall:
        case Verb::flushdb: return check_flushall(request);
        case Verb::select: return check_select(request);
        case Verb::client_setinfo: return check_client_setinfo(request);
        case Verb::add_server: return check_add_server(request);
        case Verb::remove_server: return check_remove_server(request);
        default: return;  // nothing beyond the number of arguments
    }
}

/// More than the row's arity says.
bool takes(const Request& request, const CommandRow& row) noexcept {
    const std::size_t args = request.args.size();
    const bool lines = request.protocol != Protocol::resp && request.verb == Verb::keys;
    if (lines && args == 0) return true;  // all keys
    if (request.verb == Verb::mset && args % 2 != 0) return false;
    if (request.verb == Verb::ping && args > 1) return false;
    return row.takes(args + row.name_words());
}

}  // namespace

std::string_view command_name(Verb verb) noexcept {
    return verb == Verb::invalid ? "invalid" : command_row(verb).name;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

void refuse(Request& request, Errc error, std::string_view text) {
    request.verb = Verb::invalid;
    request.error = error;
    request.error_text.assign(text);
    request.args = {};
}

void refuse_arity(Request& request, std::string_view command) {
    std::string text = "wrong number of arguments for '";
    text.append(command).append("' command");
    refuse(request, Errc::wrong_arity, text);
}

void check_request_fully(Request& request, const RequestLimits& limits) {
    const CommandRow& row = command_row(request.verb);
    if (!takes(request, row)) return refuse_arity(request, row.name);
    check_sizes(request, row, limits);
    if (request.verb != Verb::invalid) check_options(request);
}

}  // namespace kv
