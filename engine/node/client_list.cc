#include "engine/node/client_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/integer.h"
#include "proto/request_check.h"

namespace kv {

namespace {

bool is(std::string_view word, std::string_view lower_case) noexcept {
    return equals_ignoring_case(word, lower_case);
}

Status take_type(std::string_view type, ClientFilter& out) {
    const bool other =
        is(type, "master") || is(type, "slave") || is(type, "replica") || is(type, "pubsub");
    if (!other && !is(type, "normal")) {
        return fail(Errc::syntax, fmt::format("Unknown client type '{}'", type));
    }
    out.no_type = other;
    return {};
}

Status take_kill_filter(std::string_view option, std::string_view value, ClientFilter& out) {
    if (is(option, "id")) {
        const auto id = parse_integer(value);
        if (!id || *id < 1) return fail(Errc::syntax, "client-id should be greater than 0");
        out.ids = {static_cast<std::uint64_t>(*id)};
    } else if (is(option, "type")) {
        return take_type(value, out);
    } else if (is(option, "addr")) {
        out.address = value;
    } else if (is(option, "laddr")) {
        out.local_address = value;
    } else if (is(option, "user")) {
        if (value != "default") {
            return fail(Errc::syntax, fmt::format("No such user '{}'", value.substr(0, 128)));
        }
    } else if (is(option, "skipme") && (is(value, "yes") || is(value, "no"))) {
        out.skip_me = is(value, "yes");
    } else {
        return fail(Errc::syntax);
    }
    return {};
}

}  // namespace

std::string client_line(const ClientInfo& client) {
    std::string flags;
    if (client.closing) flags += 'c';
    if (client.no_evict) flags += 'e';
    if (client.no_touch) flags += 'T';
    if (flags.empty()) flags.push_back('N');
    const std::size_t memory = client.input_bytes + client.output_bytes;
    return fmt::format(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 "
        "multi=-1 qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll={} omem={} "
        "tot-mem={} events=r cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}\n",
        client.id, client.address, client.local_address, client.fd, client.name, client.age_s,
        client.idle_s, flags, client.input_bytes, client.output_bytes, client.waiting,
        client.output_bytes, memory,
        client.last == Verb::invalid ? std::string_view("NULL") : command_name(client.last),
        client.resp3 ? 3 : 2, client.library, client.library_version);
}

bool ClientFilter::matches(const ClientInfo& client, std::uint64_t asker) const {
    if (no_type || (skip_me && client.id == asker)) return false;
    if (!ids.empty() && std::ranges::find(ids, client.id) == ids.end()) return false;
    if (!address.empty() && client.address != address) return false;
    return local_address.empty() || client.local_address == local_address;
}

Result<ClientFilter> parse_client_list(Args args) {
    ClientFilter out;
    out.skip_me = false;
    if (args.empty()) return out;
    if (args.size() == 2 && is(args[0], "type")) {
        KV_CHECK(take_type(args[1], out));
        return out;
    }
    if (args.size() < 2 || !is(args[0], "id")) return fail(Errc::syntax);
    for (const std::string_view arg : args.subspan(1)) {
        const auto id = parse_integer(arg);
        if (!id) return fail(Errc::syntax, "Invalid client ID");
        out.ids.push_back(static_cast<std::uint64_t>(*id));
    }
    return out;
}

Result<ClientFilter> parse_client_kill(Args args) {
    ClientFilter out;
    if (args.size() == 1) {
        out.old_form = true;
        out.skip_me = false;
        out.address.assign(args[0].empty() ? "-" : args[0]);
        return out;
    }
    // The first mistake is named, so an option without a value counts where it stands.
    for (std::size_t at = 0; at < args.size(); at += 2) {
        if (at + 1 == args.size()) return fail(Errc::syntax);
        KV_CHECK(take_kill_filter(args[at], args[at + 1], out));
    }
    return out;
}

}  // namespace kv
