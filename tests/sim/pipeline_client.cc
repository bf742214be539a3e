#include "tests/sim/pipeline_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/await.h"

namespace kv::sim {

using test::Datum;
using test::Known;
using test::Operation;
using test::OperationKind;

namespace {
constexpr double mind_chance = 0.02;  // before a request
}  // namespace

PipelineClient::PipelineClient(io::Reactor& reactor, std::vector<io::Endpoint> servers,
                               test::History& history, std::function<std::int64_t()> now,
                               PipelineClientPlan plan, std::uint64_t seed)
    : reactor_(reactor),
      servers_(std::move(servers)),
      history_(history),
      now_(std::move(now)),
      plan_(plan),
      prng_(seed),
      wake_(reactor),
      server_(any_server()),
      next_(server_) {}

PipelineClient::~PipelineClient() {
    if (connection_ != nullptr) connection_->forget();
}

std::string hot_key(std::uint32_t slot, char kind, std::uint64_t number) {
    return fmt::format("{{h{}}}{}{}", slot, kind, number);
}

io::Task<void> PipelineClient::send() {
    ++tasks_;
    while (!stopping_ && complaint_.empty()) {
        const Instant now = reactor_.backend().now();
        const bool silent = !asked_.empty() && now - asked_.front().at > plan_.patience;
        if (silent || (connection_ != nullptr && connection_->broken())) {
            leave();
            server_ = next_ = any_server();
        }
        if (asked_.empty() && next_ != server_) {
            leave();
            server_ = next_;
        }
        if (connection_ == nullptr) {
            connection_ = std::make_shared<ClientConnection>(reactor_, servers_[server_], wake_);
            connection_->expect_many();
            knows_ = false;
            if (mind() == Mind::knows) connection_->say_topology();
            reactor_.spawn(ClientConnection::live(connection_));
        }
        // Who has been sent away asks nothing more there.
        const std::uint64_t count = next_ == server_ ? prng_.between(1, burst_max) : 0;
        for (std::uint64_t i = 0; i < count && asked_.size() < waiting_max; ++i) ask();
        const auto pause = static_cast<std::uint64_t>(plan_.pause_max.count());
        co_await io::SleepAwaiter(reactor_,
                                  Duration(static_cast<std::int64_t>(prng_.below(pause + 1))));
    }
    leave();
    --tasks_;
}

io::Task<void> PipelineClient::receive() {
    ++tasks_;
    while (!stopping_ && complaint_.empty()) {
        wake_.reset();
        co_await wake_.wait();
        drain();
    }
    --tasks_;
}

/// From here on it is sent to the leader, or no more.
void PipelineClient::change_mind() {
    knows_ = !knows_;
    connection_->send(knows_ ? "READWRITE\r\n" : "RESET\r\n");
    asked_.push_back({OperationKind::get, {}, false, reactor_.backend().now()});
}

void PipelineClient::ask() {
    if (mind() == Mind::changes && prng_.chance(mind_chance)) change_mind();
    Asked asked{OperationKind::get, {}, false, reactor_.backend().now()};
    std::vector<std::string> words;
    const auto begin = [&](const std::string& name, Datum argument) {
        Operation operation;
        operation.client = plan_.client;
        operation.key = name;
        operation.kind = asked.kind;
        operation.argument = std::move(argument);
        operation.start = now_();
        asked.operations.push_back(history_.begin(std::move(operation)));
    };
    const std::string value = key('v', prng_.below(hot_values));
    const std::uint64_t choice = prng_.below(100);
    if (choice < 50) {
        words = {"GET", value};
        begin(value, {});
    } else if (choice < 75) {
        words = {"MGET"};
        asked.many = true;
        for (std::uint64_t i = 0; i < hot_values; ++i) {
            words.push_back(key('v', i));
            begin(words.back(), {});
        }
    } else if (choice < 90) {
        const std::string text = fmt::format("p{}v{}", plan_.client, ++values_);
        asked.kind = OperationKind::set;
        words = {"SET", value, text};
        begin(value, Datum::of(text));
    } else {
        asked.kind = OperationKind::incr;
        words = {"INCR", key('n', 0)};
        begin(words.back(), Datum::of(std::int64_t{1}));
    }
    const std::vector<std::string_view> views(words.begin(), words.end());
    std::string request;
    resp::encode_command(request, views);
    connection_->send(std::move(request));
    asked_.push_back(std::move(asked));
}

void PipelineClient::drain() {
    if (connection_ == nullptr) return;
    while (connection_->has_reply()) {
        if (asked_.empty()) {
            complaint_ = "a reply that nobody asked for";
            return;
        }
        const Asked asked = std::move(asked_.front());
        asked_.pop_front();
        judge(asked, connection_->reply());
        connection_->next();
    }
    if (!connection_->problem().empty()) complaint_ = connection_->problem();
}

void PipelineClient::finish(const Asked& asked, std::size_t number, Datum result) {
    history_.finish(asked.operations[number], now_(), Known::ok, std::move(result));
    ++answered_;
    refusals_ = 0;
}

void PipelineClient::judge(const Asked& asked, std::span<const resp::Node> reply) {
    const resp::Node& first = reply[0];
    if (asked.operations.empty() && first.kind == resp::NodeKind::simple) return;
    if (first.kind == resp::NodeKind::error) return judge_error(asked, first.text);
    const auto text_of = [](const resp::Node& node) {
        return node.kind == resp::NodeKind::nil ? Datum::nil() : Datum::of(std::string(node.text));
    };
    const auto is_text = [](const resp::Node& node) {
        return node.kind == resp::NodeKind::nil || node.kind == resp::NodeKind::bulk;
    };
    const bool whole = reply.size() == asked.operations.size() + 1;
    if (asked.many && first.kind == resp::NodeKind::array && whole &&
        std::ranges::all_of(reply.subspan(1), is_text)) {
        for (std::size_t i = 0; i < asked.operations.size(); ++i)
            finish(asked, i, text_of(reply[i + 1]));
    } else if (asked.kind == OperationKind::get && !asked.many && is_text(first)) {
        finish(asked, 0, text_of(first));
    } else if (asked.kind == OperationKind::set && first.kind == resp::NodeKind::simple) {
        finish(asked, 0, Datum::ok());
    } else if (asked.kind == OperationKind::incr && first.kind == resp::NodeKind::integer) {
        finish(asked, 0, Datum::of(first.integer));
    } else {
        complaint_ = fmt::format("the reply to {} is of kind {}: {}", name(asked.kind),
                                 static_cast<int>(first.kind), first.text);
    }
}

void PipelineClient::judge_error(const Asked& asked, std::string_view text) {
    if (text.find("outcome unknown") != text.npos) return;
    for (const std::size_t operation : asked.operations)
        history_.finish(operation, now_(), Known::not_applied, {});
    const bool moved = text.starts_with("MOVED ");
    if ((moved && mind() == Mind::plain) || asked.operations.empty()) {
        complaint_ = fmt::format("a client that knows nothing of clusters was told: {}", text);
    }
    if (!moved) {
        if (++refusals_ <= refusals_max) return;
        refusals_ = 0;
        next_ = any_server();
        return;
    }
    next_ = moved_to(text, servers_).value_or(next_);
}

/// What was not answered stays unknown.
void PipelineClient::leave() {
    asked_.clear();
    if (connection_ == nullptr) return;
    connection_->abandon();
    connection_.reset();
}

}  // namespace kv::sim
