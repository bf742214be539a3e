#include "tests/system/recorded_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>

#include "bin/client/request.h"
#include "proto/base/assert.h"
#include "proto/binary/binary_client.h"
#include "tests/support/running_program.h"

namespace kv::test {

using client::Mode;
using client::Reply;
using client::ReplyKind;
using Clock = std::chrono::steady_clock;

namespace {

/// Of the keys, the last ones: mostly counted with.
constexpr std::size_t counters_share = 4;
constexpr std::chrono::milliseconds rest{3};

/// One clock for all clients of the process.
std::int64_t now_ns() {
    return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

}  // namespace

RecordedClient::RecordedClient(Plan plan, std::uint64_t seed)
    : plan_(std::move(plan)), prng_(Prng::split(seed, "recorded client", plan_.number)) {
    at_ = plan_.number % plan_.nodes.size();
}

std::string RecordedClient::key_name(std::size_t number) {
    return fmt::format("key-{}", number);
}

// --- what it asks --------------------------------------------------------------------------------

RecordedClient::Request RecordedClient::draw() {
    const std::size_t number = prng_.below(plan_.keys);
    const std::string key = key_name(number);
    const std::uint64_t choice = prng_.below(100);
    if (choice < 40) return {{"GET", key}, OperationKind::get};
    if (choice < 50) return {{"DEL", key}, OperationKind::del};
    const bool counter = number >= plan_.keys - plan_.keys / counters_share;
    return draw_write(key, counter);
}

RecordedClient::Request RecordedClient::draw_write(const std::string& key, bool counter) {
    const Request set{{"SET", key, ""}, OperationKind::set};
    if (plan_.mode == Mode::text) return set;  // it has no conditions
    const std::uint64_t choice = prng_.below(100);
    if (choice < (counter ? 80 : 5)) return {{"INCR", key}, OperationKind::incr};
    if (choice < 20) return {{"SET", key, "", "NX"}, OperationKind::set_nx};
    const auto seen = seen_.find(key);
    if (choice < 45 && seen != seen_.end()) {
        return {{"SET", key, "", "IFEQ", seen->second},
                OperationKind::set_if_value,
                Datum::of(seen->second)};
    }
    if (choice < 70) {
        const auto revision = revisions_.extract(key);
        if (revision.empty()) return {{"KV.REVISION", key}, OperationKind::exists, {}, true};
        return {{"SET", key, "", "IFREV", fmt::format("{}", revision.mapped())},
                OperationKind::set_if_revision,
                Datum::of(static_cast<std::int64_t>(revision.mapped()))};
    }
    return set;
}

/// Some are numbers, so that counters go on from them.
void RecordedClient::renew_value(Request& request) {
    if (request.words.size() < 3) return;
    ++values_;
    request.words[2] = values_ % 8 == 0 ? fmt::format("{}{:09}000", plan_.number + 1, values_)
                                        : fmt::format("client-{}-value-{}", plan_.number, values_);
}

Operation RecordedClient::operation_of(const Request& request) const {
    Operation operation;
    operation.client = plan_.number;
    operation.key = request.words[1];
    operation.kind = request.kind;
    if (request.kind == OperationKind::incr) operation.argument = Datum::of(1);
    if (request.words.size() > 2) operation.argument = Datum::of(request.words[2]);
    operation.expected = request.expected;
    operation.start = now_ns();
    return operation;
}

// --- one operation -------------------------------------------------------------------------------

void RecordedClient::step() {
    ask(draw());
}

void RecordedClient::read_all() {
    for (std::size_t i = 0; i < plan_.keys && complaint_.empty(); ++i) {
        const std::uint64_t before = answered_;
        // A read of which nothing is known has done nothing.
        while (answered_ == before && complaint_.empty()) {
            ask({{"GET", key_name(i)}, OperationKind::get});
        }
    }
}

void RecordedClient::ask(Request request) {
    const auto begun = Clock::now();
    at_ = node_of(request.words[1]);
    while (complaint_.empty()) {
        renew_value(request);
        const End end = attempt(request);
        if (end == End::answered) {
            ++answered_;
            node_of(request.words[1]) = at_;
        }
        if (end == End::answered || end == End::unknown) break;
        if (end == End::unreachable) leave_node();
        if (end == End::refused) elsewhere();
        if (Clock::now() - begun > patience) {
            complaint_ =
                fmt::format("{} {}: no answer in time", request.words[0], request.words[1]);
        }
    }
    longest_wait_ = std::max(longest_wait_, Clock::now() - begun);
}

std::size_t& RecordedClient::node_of(const std::string& key) {
    return leaders_.try_emplace(key, at_).first->second;
}

/// A node that does not answer leads nothing, as far as this client is concerned.
void RecordedClient::leave_node() {
    std::erase_if(leaders_, [&](const auto& known) { return known.second == at_; });
    links_.erase(at_);
    elsewhere();
}

void RecordedClient::elsewhere() {
    at_ = (at_ + 1) % plan_.nodes.size();
    // Nobody may lead for a while, and the machine has better things to do than to say so.
    std::this_thread::sleep_for(rest);
}

bool RecordedClient::go_to(std::string_view address) {
    for (std::size_t i = 0; i < plan_.nodes.size(); ++i) {
        if (address != fmt::format("{}:{}", plan_.nodes[i].host, plan_.nodes[i].port)) continue;
        at_ = i;
        return true;
    }
    return false;
}

/// Null: nobody is there, or has closed, and knows nothing of the request.
RecordedClient::Link* RecordedClient::link_to_node() {
    const auto known = links_.find(at_);
    if (known != links_.end()) {
        std::string bytes;
        if (known->second.wire.receive_some(bytes) && bytes.empty()) return &known->second;
        if (!bytes.empty()) complaint_ = fmt::format("what nobody asked for: {:?}", bytes);
        links_.erase(known);
    }
    Wire wire(plan_.nodes[at_], plan_.timeout);
    if (!wire.connected()) return nullptr;
    Link link{std::move(wire), client::ReplyReader(plan_.mode)};
    if (plan_.mode == Mode::resp && plan_.follows && !greet(link)) return nullptr;
    return &links_.emplace(at_, std::move(link)).first->second;
}

/// Who says READWRITE knows that it may be sent elsewhere.
bool RecordedClient::greet(Link& link) {
    const auto deadline = Clock::now() + plan_.timeout;
    if (!link.wire.send(encode({"READWRITE"}))) return false;
    std::string received;
    while (!received.ends_with('\n')) {
        if (!link.wire.wait_until(deadline) || !link.wire.receive_some(received)) return false;
    }
    if (received != "+OK\r\n") complaint_ = fmt::format("READWRITE: {:?}", received);
    return true;
}

std::string RecordedClient::encode(const std::vector<std::string>& words) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    if (plan_.mode == Mode::binary && words.size() > 3) {
        // encode_words() would take what is behind the value as a part of it, for people who type.
        std::string out;
        const std::span args = std::span(views).subspan(1);
        KV_ASSERT(binary::encode_extended(out, Verb::set, args, {.request_id = ++requests_}));
        return out;
    }
    Result<std::string> bytes = client::encode_words(plan_.mode, views, ++requests_);
    KV_ASSERT(bytes.has_value());
    return *std::move(bytes);
}

RecordedClient::End RecordedClient::attempt(const Request& request) {
    Link* const link = link_to_node();
    if (link == nullptr) return End::unreachable;
    const std::string bytes = encode(request.words);
    const std::size_t operation = history_.begin(operation_of(request));
    const auto deadline = Clock::now() + plan_.timeout;
    if (!link->wire.send(bytes)) return end_unknown("sending failed");
    for (;;) {
        std::string received;
        const bool open = link->wire.receive_some(received);
        link->reader.append(received);
        const Result<std::optional<Reply>> reply = link->reader.next();
        if (!reply) {
            complaint_ = fmt::format("{}: {:?}", reply.error().text(), received);
            return end_unknown("no reply of this protocol");
        }
        if (*reply) return judge(request, operation, **reply);
        if (!open) return end_unknown("the connection was closed");
        if (!link->wire.wait_until(deadline)) return end_unknown("no answer in time");
    }
}

RecordedClient::End RecordedClient::end_unknown(std::string why) {
    if (counters_.unknown++ == 0) {
        counters_.first_unknown = fmt::format("client {}, node {}: {}", plan_.number, at_ + 1, why);
    }
    leave_node();
    return End::unknown;
}

// --- what it is told -----------------------------------------------------------------------------

RecordedClient::End RecordedClient::judge(const Request& request, std::size_t operation,
                                          const Reply& reply) {
    const std::string& key = request.words[1];
    const auto tell = [&](Datum result, std::uint64_t revision = 0) {
        history_.finish(operation, now_ns(), Known::ok, std::move(result), revision);
        return End::answered;
    };
    switch (reply.kind) {
        case ReplyKind::error:
        case ReplyKind::redirect: return judge_error(request, operation, reply);
        case ReplyKind::status:
            if (reply.text != "OK") break;
            [[fallthrough]];
        case ReplyKind::ok:
            if (request.words.size() > 2) seen_[key] = request.words[2];
            return tell(Datum::ok());
        case ReplyKind::deleted: return tell(Datum::of(1));
        case ReplyKind::absent:
            if (request.asks_revision) revisions_[key] = 0;
            if (request.kind == OperationKind::del || request.asks_revision)
                return tell(Datum::of(0));
            return tell(Datum::nil());
        case ReplyKind::value: seen_[key] = reply.text; return tell(Datum::of(reply.text));
        case ReplyKind::integer: {
            if (!request.asks_revision) return tell(Datum::of(reply.integer));
            const auto revision = static_cast<std::uint64_t>(reply.integer);
            revisions_[key] = revision;
            return tell(Datum::of(1), revision);
        }
        default: break;
    }
    complaint_ = fmt::format("{} {} was answered with a reply of kind {}: {:?}", request.words[0],
                             key, static_cast<int>(reply.kind), reply.text);
    return End::unknown;
}

RecordedClient::End RecordedClient::judge_error(const Request& request, std::size_t operation,
                                                const Reply& reply) {
    const std::string_view text = reply.text;
    if (text.find("outcome unknown") != text.npos) return end_unknown(reply.text);
    if (request.kind == OperationKind::incr && text.find("not an integer") != text.npos) {
        history_.finish(operation, now_ns(), Known::ok, Datum::not_integer());
        return End::answered;
    }
    history_.finish(operation, now_ns(), Known::not_applied);
    const bool moved = reply.kind == ReplyKind::redirect || text.starts_with("MOVED ");
    if (moved) {
        ++counters_.redirects;
        if (go_to(text.substr(text.rfind(' ') + 1))) return End::moved;
        complaint_ = fmt::format("sent to a place that is no node: {}", text);
        return End::refused;
    }
    if (counters_.refused++ == 0) {
        counters_.first_refusal =
            fmt::format("client {}, node {}: {}", plan_.number, at_ + 1, text);
    }
    return End::refused;
}

}  // namespace kv::test
