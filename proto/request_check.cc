#include "proto/request_check.h"

#include <algorithm>
#include <charconv>

#include "proto/base/assert.h"
#include "proto/line.h"

namespace kv {

namespace {

constexpr std::size_t any_number = SIZE_MAX;
constexpr std::size_t host_bytes_max = 255;

/// How many arguments a verb takes, and which of them are keys and values.
struct Shape {
    std::string_view name;
    std::size_t args_min;
    std::size_t args_max;
    enum Roles { other, keys, key_value_pairs, payload } roles;
};

Shape shape(Verb verb) noexcept {
    switch (verb) {
        case Verb::invalid: return {"invalid", 0, any_number, Shape::other};
        case Verb::ping: return {"ping", 0, 1, Shape::payload};
        case Verb::echo: return {"echo", 1, 1, Shape::payload};
        case Verb::get: return {"get", 1, 1, Shape::keys};
        case Verb::set: return {"set", 2, 2, Shape::key_value_pairs};
        case Verb::del: return {"del", 1, any_number, Shape::keys};
        case Verb::exists: return {"exists", 1, any_number, Shape::keys};
        case Verb::mget: return {"mget", 1, any_number, Shape::keys};
        case Verb::mset: return {"mset", 2, any_number, Shape::key_value_pairs};
        case Verb::keys: return {"keys", 0, 1, Shape::payload};
        case Verb::dbsize: return {"dbsize", 0, 0, Shape::other};
        case Verb::flushall: return {"flushall", 0, any_number, Shape::other};
        case Verb::command: return {"command", 0, any_number, Shape::other};
        case Verb::config_get: return {"config|get", 1, any_number, Shape::other};
        case Verb::info: return {"info", 0, any_number, Shape::other};
        case Verb::select: return {"select", 1, 1, Shape::other};
        case Verb::quit: return {"quit", 0, any_number, Shape::other};
        case Verb::client_setinfo: return {"client|setinfo", 2, 2, Shape::other};
        case Verb::add_server: return {"addserver", 4, 4, Shape::other};
        case Verb::remove_server: return {"removeserver", 1, 1, Shape::other};
    }
    KV_UNREACHABLE("Verb {}", static_cast<unsigned>(verb));
}

void check_flushall(Request& request) {
    if (request.args.empty()) return;
    const bool known = equals_ignoring_case(request.args[0], "async") ||
                       equals_ignoring_case(request.args[0], "sync");
    if (request.args.size() > 1 || !known) refuse(request, Errc::syntax, sentence(Errc::syntax));
}

void check_select(Request& request) {
    const std::string_view text = request.args[0];
    std::int32_t number = 0;
    const auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || stop != text.data() + text.size()) {
        refuse(request, Errc::syntax, "value is not an integer or out of range");
    } else if (number != 0) {
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

void check_sizes(Request& request, Shape::Roles roles, const RequestLimits& limits) {
    for (std::size_t at = 0; at < request.args.size(); ++at) {
        const std::size_t bytes = request.args[at].size();
        const bool is_key =
            roles == Shape::keys || (roles == Shape::key_value_pairs && at % 2 == 0);
        if (is_key && (bytes == 0 || bytes > limits.key_bytes_max)) {
            return refuse(request, Errc::key_size, sentence(Errc::key_size));
        }
        if (!is_key && bytes > limits.value_bytes_max) {
            return refuse(request, Errc::value_size, sentence(Errc::value_size));
        }
    }
}

}  // namespace

std::string_view command_name(Verb verb) noexcept {
    return shape(verb).name;
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
    const Shape expected = shape(request.verb);
    const std::size_t args = request.args.size();
    const bool pairs_fit = expected.roles != Shape::key_value_pairs || args % 2 == 0;
    if (args < expected.args_min || args > expected.args_max || !pairs_fit) {
        return refuse_arity(request, expected.name);
    }
    if (expected.roles != Shape::other) return check_sizes(request, expected.roles, limits);
    if (request.verb == Verb::flushall) return check_flushall(request);
    if (request.verb == Verb::select) return check_select(request);
    if (request.verb == Verb::client_setinfo) return check_client_setinfo(request);
    if (request.verb == Verb::add_server) return check_add_server(request);
    if (request.verb == Verb::remove_server) return check_remove_server(request);
}

}  // namespace kv
