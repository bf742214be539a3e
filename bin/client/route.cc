#include "bin/client/route.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/base/integer.h"
#include "proto/binary/binary_codec.h"
#include "proto/command_table.h"
#include "proto/resp/resp_codec.h"
#include "proto/slot.h"
#include "proto/text/text_codec.h"

namespace kv::client {

namespace {

/// The server judges sizes; here they only must not hide a key.
constexpr RequestLimits wire_limits{
    .value_bytes_max = std::size_t{1} << 31,
    .inline_bytes_max = std::size_t{1} << 31,
    .request_bytes_max = std::size_t{1} << 31,
};

constexpr std::string_view unknown_words = ", outcome unknown";

template <typename Parser>
Route read_route(Parser parser, std::string_view bytes) {
    Request request;
    if (parser.next(bytes, request).status != ParseStatus::request) return {};
    if (request.verb == Verb::invalid) return {};
    const CommandRow& row = command_row(request.verb);
    Route route;
    route.reads = row.kind == CommandClass::local || row.kind == CommandClass::key_read ||
                  row.kind == CommandClass::wide_read;
    bool several = false;
    for_each_key(row, request.args.size() + row.name_words(), [&](std::size_t word) {
        const SlotId slot = slot_of(request.args[word - row.name_words()]);
        several = several || (route.slot && *route.slot != slot);
        route.slot = slot;
    });
    if (several) route.slot.reset();
    return route;
}

bool passes(Mode mode, std::string_view text) {
    constexpr std::array reasons{Errc::no_leader, Errc::busy, Errc::shutting_down, Errc::loading};
    if (mode == Mode::resp) {
        if (text.starts_with("CLUSTERDOWN ") || text.starts_with("LOADING ")) return true;
        const std::string_view prefix = text.substr(0, text.find(' '));
        if (prefix != "BUSY" && prefix != "ERR") return false;
        text.remove_prefix(std::min(prefix.size() + 1, text.size()));
    }
    return std::ranges::any_of(reasons, [&](Errc reason) { return text == sentence(reason); });
}

}  // namespace

Route route_of(Mode mode, std::string_view request) {
    switch (mode) {
        case Mode::text: return read_route(text::TextParser(wire_limits), request);
        case Mode::binary: return read_route(binary::BinaryParser(wire_limits), request);
        case Mode::resp: return read_route(resp::RespParser(wire_limits), request);
    }
    KV_UNREACHABLE("three modes");
}

Next next_step(Mode mode, const Route& route, const Reply& reply) {
    if (reply.kind == ReplyKind::redirect) return {Step::follow, reply.text};
    if (reply.kind != ReplyKind::error) return {};
    if (mode == Mode::resp && reply.text.starts_with("MOVED ")) {
        return {Step::follow, reply.text.substr(reply.text.rfind(' ') + 1)};
    }
    const bool whole = route.reads || route.slot.has_value();
    return {whole && passes(mode, reply.text) ? Step::retry : Step::done, {}};
}

Step step_after_loss(const Route& route, bool sent) noexcept {
    return route.reads || !sent ? Step::retry : Step::unknown;
}

Reply lost_reply(const Route& route, bool sent, std::string_view how) {
    Reply reply;
    reply.kind = ReplyKind::error;
    reply.text = how;
    if (step_after_loss(route, sent) == Step::unknown) reply.text += unknown_words;
    return reply;
}

bool outcome_unknown(const Reply& reply) noexcept {
    return reply.kind == ReplyKind::error && reply.text.ends_with(unknown_words);
}

std::string Address::text() const {
    return host.find(':') == host.npos ? fmt::format("{}:{}", host, port)
                                       : fmt::format("[{}]:{}", host, port);
}

std::optional<Address> parse_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos || colon == 0) return std::nullopt;
    const auto port = parse_integer(text.substr(colon + 1));
    if (!port || *port < 1 || *port > 65'535) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    return Address{std::string(host), static_cast<std::uint16_t>(*port)};
}

}  // namespace kv::client
