#include "engine/node/session.h"

#include <algorithm>
#include <optional>

#include "proto/base/integer.h"
#include "proto/base/result.h"
#include "proto/request_check.h"

namespace kv {

namespace {

constexpr std::string_view wrong_password =
    "WRONGPASS invalid username-password pair or user is disabled.";
constexpr std::string_view bad_name =
    "Client names cannot contain spaces, newlines or special characters.";

bool is(std::string_view word, std::string_view lower_case) noexcept {
    return equals_ignoring_case(word, lower_case);
}

bool is_name(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) { return c >= '!' && c <= '~'; });
}

/// There are no users but the default one, which has no password, as in a Redis without any.
void answer_auth(const Request& request, ReplyWriter& reply) {
    const auto args = request.args;
    if (args.size() > 2) return reply.error(Errc::syntax);
    if (args.size() == 1) {
        return reply.error(Errc::syntax,
                           "AUTH <password> called without any password configured for the "
                           "default user. Are you sure your configuration is correct?");
    }
    if (args[0] != "default") return reply.raw_error(wrong_password);
    reply.ok();
}

/// Most bytes of a client's own words in an error.
constexpr std::size_t echo_bytes_max = 4096;

/// Carries out the options of HELLO one by one, as Redis does: those before a wrong one have had
/// their effect. False: `reply` says what is wrong.
bool take_hello_options(std::span<const std::string_view> options, Session& session,
                        ReplyWriter& reply) {
    for (std::size_t at = 0; at < options.size(); ++at) {
        const std::size_t left = options.size() - at - 1;
        if (is(options[at], "auth") && left >= 2) {
            if (options[at + 1] != "default") {
                reply.raw_error(wrong_password);
                return false;
            }
            at += 2;
        } else if (is(options[at], "setname") && left >= 1) {
            const std::string_view name = options[++at];
            if (!is_name(name)) {
                reply.error(Errc::syntax, bad_name);
                return false;
            }
            session.name = name;
        } else {
            std::string text = "Syntax error in HELLO option '";
            text.append(options[at].substr(0, echo_bytes_max)).append("'");
            reply.error(Errc::syntax, text);
            return false;
        }
    }
    return true;
}

void write_hello(const Session& session, resp::Writer& out) {
    out.map(7);
    out.bulk("server");
    out.bulk("redis");
    out.bulk("version");
    out.bulk(redis_version);
    out.bulk("proto");
    out.integer(session.resp3 ? 3 : 2);
    out.bulk("id");
    out.integer(static_cast<std::int64_t>(session.id));
    out.bulk("mode");
    out.bulk(session.cluster ? "cluster" : "standalone");
    out.bulk("role");
    out.bulk("master");
    out.bulk("modules");
    out.array(0);
}

void answer_hello(const Request& request, Session& session, std::string& out) {
    ReplyWriter before(request.protocol, request.request_id, out);
    if (!is_resp(request.protocol)) return before.compose([](resp::Writer&) {});
    std::optional<std::int64_t> version;
    if (!request.args.empty()) {
        version = parse_integer(request.args[0]);
        if (!version) {
            return before.error(Errc::syntax, "Protocol version is not an integer or out of range");
        }
        if (*version != 2 && *version != 3) return before.error(Errc::no_protocol);
        if (!take_hello_options(request.args.subspan(1), session, before)) return;
        session.resp3 = *version == 3;
    }
    resp::Writer writer(out, session.resp3);
    write_hello(session, writer);
}

/// ON or OFF.
void answer_switch(std::string_view word, bool& value, ReplyWriter& reply) {
    if (!is(word, "on") && !is(word, "off")) return reply.error(Errc::syntax);
    value = is(word, "on");
    reply.ok();
}

void answer_reply_mode(std::string_view word, Session& session, ReplyWriter& reply) {
    using Replies = Session::Replies;
    if (is(word, "on")) {
        session.replies = Replies::on;
        reply.ok();
    } else if (is(word, "off")) {
        session.replies = Replies::off;
    } else if (is(word, "skip")) {
        if (session.replies != Replies::off) session.replies = Replies::skip_next;
    } else {
        reply.error(Errc::syntax);
    }
}

bool is_tracking_flag(std::string_view word) {
    return is(word, "bcast") || is(word, "optin") || is(word, "optout") || is(word, "noloop");
}

/// Options are looked at before ON and OFF, as Redis does.
void answer_tracking(std::span<const std::string_view> args, ReplyWriter& reply) {
    for (std::size_t at = 1; at < args.size(); ++at) {
        const bool has_value = is(args[at], "redirect") || is(args[at], "prefix");
        if (has_value ? ++at == args.size() : !is_tracking_flag(args[at])) {
            return reply.error(Errc::syntax);
        }
    }
    if (is(args[0], "off")) return reply.ok();
    if (!is(args[0], "on")) return reply.error(Errc::syntax);
    reply.error(Errc::unsupported, "CLIENT TRACKING is not supported");
}

void answer_pause(std::span<const std::string_view> args, ReplyWriter& reply) {
    const bool mode_fits =
        args.size() == 1 || (args.size() == 2 && (is(args[1], "write") || is(args[1], "all")));
    if (!mode_fits) return reply.error(Errc::syntax, "CLIENT PAUSE mode must be WRITE or ALL");
    const auto timeout = parse_integer(args[0]);
    if (!timeout) {
        return reply.error(Errc::not_integer, "timeout is not an integer or out of range");
    }
    if (*timeout < 0) return reply.error(Errc::syntax, "timeout is negative");
    reply.error(Errc::unsupported, "CLIENT PAUSE is not supported");
}

/// Nobody is ever blocked here.
void answer_unblock(std::span<const std::string_view> args, ReplyWriter& reply) {
    const bool reason_fits = args.size() == 1 || is(args[1], "timeout") || is(args[1], "error");
    if (!reason_fits) {
        return reply.error(Errc::syntax, "CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
    if (!parse_integer(args[0])) return reply.error(Errc::not_integer);
    reply.integer(0);
}

/// READONLY, READWRITE, ASKING. No shard is ever on its way from one node to another.
void answer_cluster_mode(Verb verb, Session& session, ReplyWriter& reply) {
    if (!session.cluster) {
        return reply.error(Errc::unsupported, "This instance has cluster support disabled");
    }
    session.note_topology();
    if (verb != Verb::asking) session.readonly = verb == Verb::readonly;
    reply.ok();
}

void write_tracking_info(resp::Writer& out) {
    out.map(3);
    out.bulk("flags");
    out.set(1);
    out.bulk("off");
    out.bulk("redirect");
    out.integer(-1);
    out.bulk("prefixes");
    out.array(0);
}

void reset(Session& session) {
    session.name.clear();
    session.resp3 = false;
    session.no_evict = false;
    session.no_touch = false;
    session.readonly = false;
    session.forget_topology();
    session.replies = Session::Replies::on;
}

}  // namespace

void answer_session(const Request& request, Session& session, std::string& out) {
    const auto args = request.args;
    ReplyWriter reply(request.protocol, request.request_id, out);
    switch (request.verb) {
        case Verb::hello: return answer_hello(request, session, out);
        case Verb::auth: return answer_auth(request, reply);
        case Verb::select:  // the codec let 0 through, and nothing else
        case Verb::quit: return reply.ok();
        case Verb::reset: reset(session); return reply.simple("RESET");
        case Verb::client_id: return reply.integer(static_cast<std::int64_t>(session.id));
        case Verb::client_setname:
            if (!is_name(args[0])) return reply.error(Errc::syntax, bad_name);
            session.name = args[0];
            return reply.ok();
        case Verb::client_getname:
            return session.name.empty() ? reply.absent() : reply.bulk(session.name);
        case Verb::client_setinfo:
            (is(args[0], "lib-name") ? session.library : session.library_version) = args[1];
            return reply.ok();
        case Verb::client_no_evict: return answer_switch(args[0], session.no_evict, reply);
        case Verb::client_no_touch: return answer_switch(args[0], session.no_touch, reply);
        case Verb::client_reply: return answer_reply_mode(args[0], session, reply);
        case Verb::client_tracking: return answer_tracking(args, reply);
        case Verb::client_trackinginfo: return reply.compose(write_tracking_info);
        case Verb::client_caching:
            return reply.error(Errc::syntax,
                               "CLIENT CACHING can be called only when the client is in tracking "
                               "mode with OPTIN or OPTOUT mode enabled");
        case Verb::client_getredir: return reply.integer(-1);
        case Verb::client_pause: return answer_pause(args, reply);
        case Verb::client_unpause: return reply.ok();
        case Verb::client_unblock: return answer_unblock(args, reply);
        case Verb::readonly:
        case Verb::readwrite:
        case Verb::asking: return answer_cluster_mode(request.verb, session, reply);
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(request.verb));
}

}  // namespace kv
