#include "tests/sim/history_client.h"

#include <fmt/format.h>

#include "io/await.h"

namespace kv::sim {

using test::Datum;
using test::Known;
using test::Operation;
using test::OperationKind;

namespace {

std::string key_name(std::uint64_t number) {
    return fmt::format("k{}", number);
}

}  // namespace

void HistoryClient::add(const ClientPlan& plan, std::span<const std::string> words,
                        OperationKind kind, std::span<const std::string> keys,
                        std::span<const std::string> values, bool many) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    resp::encode_command(sending_, views);
    Waiting waiting;
    waiting.many = many;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        Operation operation;
        operation.client = plan.client;
        operation.key = keys[i];
        operation.kind = kind;
        if (!values.empty()) operation.argument = Datum::of(values[i]);
        operation.start = now();
        waiting.operations.push_back(history_.begin(std::move(operation)));
    }
    waiting_.push_back(std::move(waiting));
}

std::string HistoryClient::value(const ClientPlan& plan) {
    // Unique, so that a wrong value is seen for what it is.
    std::string text = fmt::format("c{}v{}", plan.client, ++values_);
    if (prng_.chance(0.3)) text.resize(text.size() + prng_.below(plan.value_bytes_max), 'x');
    return text;
}

/// A command for the one key that is its second word.
void HistoryClient::add_one(const ClientPlan& plan, std::span<const std::string> words,
                            OperationKind kind, Datum argument, Datum expected) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    resp::encode_command(sending_, views);
    Operation operation;
    operation.client = plan.client;
    operation.key = words[1];
    operation.kind = kind;
    operation.argument = std::move(argument);
    operation.expected = std::move(expected);
    operation.start = now();
    waiting_.push_back({{history_.begin(std::move(operation))}, false, words[0] == "REVISION"});
}

void HistoryClient::add_dependent(const ClientPlan& plan) {
    const std::string key = key_name(prng_.below(plan.keys));
    const std::string text = value(plan);
    const Datum argument = Datum::of(text);
    std::vector<std::string> words;
    switch (prng_.below(11)) {
        case 0: {
            const std::int64_t by = static_cast<std::int64_t>(prng_.below(9)) - 4;
            words = {"INCRBY", key, fmt::format("{}", by)};
            return add_one(plan, words, OperationKind::incr, Datum::of(by));
        }
        case 1: {
            const std::string number = fmt::format("{}", prng_.below(1'000'000'000));
            words = {"SET", key, number};
            return add_one(plan, words, OperationKind::set, Datum::of(number));
        }
        case 2:
            words = {"APPEND", key, text};
            return add_one(plan, words, OperationKind::append, argument);
        case 3: words = {"STRLEN", key}; return add_one(plan, words, OperationKind::strlen);
        case 4:
            words = {"SET", key, text, "GET"};
            return add_one(plan, words, OperationKind::getset, argument);
        case 5: words = {"GETDEL", key}; return add_one(plan, words, OperationKind::getdel);
        case 6:
            words = {"SET", key, text, "NX"};
            return add_one(plan, words, OperationKind::set_nx, argument);
        case 7:
            words = {"SET", key, text, "XX"};
            return add_one(plan, words, OperationKind::set_xx, argument);
        case 8: {
            // Mostly what this client wrote not long ago.
            const std::string expected =
                fmt::format("c{}v{}", plan.client, values_ - std::min<std::uint64_t>(values_, 2));
            words = {"SET", key, text, "IFEQ", expected};
            return add_one(plan, words, OperationKind::set_if_value, argument, Datum::of(expected));
        }
        case 9: {
            const std::uint64_t revision = revisions_[key];
            words = {"SET", key, text, "IFREV", fmt::format("{}", revision)};
            return add_one(plan, words, OperationKind::set_if_revision, argument,
                           Datum::of(static_cast<std::int64_t>(revision)));
        }
        default: words = {"REVISION", key}; return add_one(plan, words, OperationKind::exists);
    }
}

void HistoryClient::add_request(const ClientPlan& plan) {
    if (plan.all_commands && prng_.chance(0.4)) return add_dependent(plan);
    std::vector<std::string> keys{key_name(prng_.below(plan.keys))};
    std::vector<std::string> values;
    std::vector<std::string> words;
    const std::uint64_t choice = prng_.below(100);
    if (choice < 40) {
        words = {"GET", keys[0]};
        return add(plan, words, OperationKind::get, keys, values, false);
    }
    if (choice < 75) {
        values = {value(plan)};
        words = {"SET", keys[0], values[0]};
        return add(plan, words, OperationKind::set, keys, values, false);
    }
    if (choice < 83) {
        words = {"DEL", keys[0]};
        return add(plan, words, OperationKind::del, keys, values, false);
    }
    if (choice < 90) {
        words = {"EXISTS", keys[0]};
        return add(plan, words, OperationKind::exists, keys, values, false);
    }
    // Several keys, each of them once.
    const std::uint64_t first = prng_.below(plan.keys);
    const std::uint64_t count = prng_.between(1, plan.keys);
    keys.clear();
    for (std::uint64_t i = 0; i < count; ++i) keys.push_back(key_name((first + i) % plan.keys));
    const bool write = choice < 95;
    words = {write ? "MSET" : "MGET"};
    for (const std::string& key : keys) {
        words.push_back(key);
        if (write) words.push_back(values.emplace_back(value(plan)));
    }
    add(plan, words, write ? OperationKind::set : OperationKind::get, keys, values, !write);
}

io::Task<bool> HistoryClient::connect(io::Endpoint server) {
    const Result<std::int32_t> fd = co_await io::connect_to(reactor_, server);
    if (!fd) co_return false;
    io::Stream::Handler& handler = *this;
    stream_ = std::make_unique<io::Stream>(reactor_, *fd, handler);
    stream_->receive();
    co_return true;
}

/// Sends what was added, and waits for its answers or the end.
io::Task<void> HistoryClient::exchange() {
    sent_ = 0;
    send_rest();
    while (!ended_ && (!waiting_.empty() || stream_->sending())) {
        wake_.reset();
        co_await wake_.wait();
    }
    if (!ended_) sending_.clear();  // else it may still be being sent
}

io::Task<void> HistoryClient::close() {
    stream_->close();
    while (!closed_) {
        wake_.reset();
        co_await wake_.wait();
    }
    finished_ = true;
}

io::Task<void> HistoryClient::run(io::Endpoint server, ClientPlan plan) {
    const bool connected = co_await connect(server);
    if (!connected) {
        finished_ = true;
        co_return;
    }
    for (std::size_t burst = 0; burst < plan.bursts && !ended_; ++burst) {
        const std::uint64_t requests = prng_.between(1, plan.pipeline_max);
        for (std::uint64_t i = 0; i < requests; ++i) add_request(plan);
        co_await exchange();
        const auto pause = static_cast<std::uint64_t>(plan.pause_max.count());
        const Duration wait(static_cast<std::int64_t>(prng_.below(pause + 1)));
        co_await io::SleepAwaiter(reactor_, wait);
    }
    co_await close();
}

io::Task<void> HistoryClient::read_all(io::Endpoint server, ClientPlan plan) {
    const bool connected = co_await connect(server);
    for (std::size_t i = 0; connected && i < plan.keys && !ended_; ++i) {
        const std::vector<std::string> keys{key_name(i)};
        const std::vector<std::string> words{"GET", keys[0]};
        add(plan, words, OperationKind::get, keys, {}, false);
        co_await exchange();
    }
    if (connected) co_await close();
    finished_ = true;
}

void HistoryClient::send_rest() noexcept {
    stream_->send(as_bytes(std::string_view(sending_).substr(sent_)));
}

/// What `node` says of an operation; its meaning is the checker's to judge.
void HistoryClient::finish(std::size_t number, const resp::Node& node, bool asked_revision) {
    const Operation& operation = history_.operations()[number];
    const auto tell = [&](Known known, Datum result, std::uint64_t revision = 0) {
        history_.finish(number, now(), known, std::move(result), revision);
    };
    switch (node.kind) {
        case resp::NodeKind::simple:
            if (node.text != "OK") break;
            return tell(Known::ok, Datum::ok());
        case resp::NodeKind::error:
            if (node.text.find("outcome unknown") != node.text.npos) return;
            if (operation.kind == OperationKind::incr && node.text.starts_with("ERR "))
                return tell(Known::ok, Datum::not_integer());
            return tell(Known::not_applied, {});
        case resp::NodeKind::integer:
            if (!asked_revision) return tell(Known::ok, Datum::of(node.integer));
            revisions_[operation.key] = static_cast<std::uint64_t>(node.integer);
            return tell(Known::ok, Datum::of(node.integer == 0 ? 0 : 1),
                        static_cast<std::uint64_t>(node.integer));
        case resp::NodeKind::bulk: return tell(Known::ok, Datum::of(std::string(node.text)));
        case resp::NodeKind::nil:
            if (!asked_revision) return tell(Known::ok, Datum::nil());
            revisions_[operation.key] = 0;
            return tell(Known::ok, Datum::of(0));
        default: break;
    }
    complaint_ = fmt::format("{} was answered with a reply of kind {}: {}",
                             test::name(operation.kind), static_cast<int>(node.kind), node.text);
}

void HistoryClient::take(std::span<const resp::Node> reply) {
    if (waiting_.empty()) {
        complaint_ = fmt::format("a reply that nobody asked for: {}", reply[0].text);
        return;
    }
    const Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    ++answered_;
    const bool array = reply[0].kind == resp::NodeKind::array;
    if (array && reply.size() != waiting.operations.size() + 1) {
        complaint_ = "an array of another size than the request";
        return;
    }
    for (std::size_t i = 0; i < waiting.operations.size(); ++i) {
        finish(waiting.operations[i], array && waiting.many ? reply[i + 1] : reply[0],
               waiting.revision);
    }
}

void HistoryClient::on_received(Bytes bytes) noexcept {
    received_.append(as_text(bytes));
    std::size_t taken = 0;
    while (complaint_.empty()) {
        const DecodeResult next = decoder_.next(std::string_view(received_).substr(taken));
        if (next.status == DecodeStatus::malformed) complaint_ = decoder_.problem();
        if (next.status != DecodeStatus::reply) break;
        take(decoder_.nodes());
        taken += next.consumed;
    }
    received_.erase(0, taken);
    wake_.set();
}

void HistoryClient::on_sent(std::size_t bytes) noexcept {
    sent_ += bytes;
    if (sent_ < sending_.size()) send_rest();
    wake_.set();
}

void HistoryClient::give_up() noexcept {
    ended_ = true;
    wake_.set();
}

void HistoryClient::on_ended(std::int32_t) noexcept {
    ended_ = true;
    wake_.set();
}

void HistoryClient::on_closed() noexcept {
    closed_ = true;
    wake_.set();
}

}  // namespace kv::sim
