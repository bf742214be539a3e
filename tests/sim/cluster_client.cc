#include "tests/sim/cluster_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/await.h"
#include "tests/sim/client_connection.h"
#include "tests/sim/pipeline_client.h"

namespace kv::sim {

using test::Datum;
using test::Known;
using test::Operation;
using test::OperationKind;

namespace {
constexpr double hot_share = 0.15;    // of requests
constexpr Duration rest_max = 100ms;  // after a refusal
constexpr int redirects_max = 5;      // of one request, in a row
}  // namespace

ClusterClient::ClusterClient(io::Reactor& reactor, std::vector<io::Endpoint> servers,
                             test::History& history, std::function<std::int64_t()> now,
                             ClusterClientPlan plan, std::uint64_t seed, OnPut on_put)
    : reactor_(reactor),
      servers_(std::move(servers)),
      history_(history),
      now_(std::move(now)),
      plan_(plan),
      prng_(seed),
      on_put_(std::move(on_put)),
      connections_(servers_.size()),
      wake_(reactor) {}

ClusterClient::~ClusterClient() {
    for (const auto& connection : connections_) {
        if (connection != nullptr) connection->forget();
    }
}

std::string ClusterClient::key_name(std::uint64_t number) {
    return fmt::format("k{}", number);
}

void ClusterClient::draw(std::vector<std::string>& words, OperationKind& kind, Datum& argument) {
    std::string key = key_name(prng_.below(plan_.keys));
    if (plan_.hot_slots != 0 && prng_.chance(hot_share)) {
        const auto slot = static_cast<std::uint32_t>(prng_.below(plan_.hot_slots));
        key = hot_key(slot, 'v', prng_.below(hot_values));
    }
    std::string text = fmt::format("c{}v{}", plan_.client, ++values_);
    if (prng_.chance(0.3)) text.resize(text.size() + prng_.below(plan_.value_bytes_max), 'x');
    const std::uint64_t choice = prng_.below(100);
    argument = Datum::of(text);
    if (choice < 45) {
        words = {"GET", key};
        kind = OperationKind::get;
        argument = {};
    } else if (choice < 80) {
        words = {"SET", key, text};
        kind = OperationKind::set;
    } else if (choice < 86) {
        words = {"DEL", key};
        kind = OperationKind::del;
        argument = {};
    } else if (choice < 92) {
        words = {"APPEND", key, text};
        kind = OperationKind::append;
    } else if (choice < 96) {
        words = {"SET", key, text, "NX"};
        kind = OperationKind::set_nx;
    } else {
        words = {"SET", key, text, "GET"};
        kind = OperationKind::getset;
    }
}

io::Task<void> ClusterClient::run() {
    while (!stopping_ && complaint_.empty()) {
        std::vector<std::string> words;
        OperationKind kind = OperationKind::get;
        Datum argument;
        draw(words, kind, argument);
        // What was refused had no effect and is given up: one attempt each.
        co_await ask(std::move(words), kind, std::move(argument), plan_.timeout);
        const auto pause = static_cast<std::uint64_t>(plan_.pause_max.count());
        co_await rest(Duration(static_cast<std::int64_t>(prng_.below(pause + 1))));
    }
    for (std::size_t i = 0; i < servers_.size(); ++i) drop(i);
    ended_ = true;
}

io::Task<bool> ClusterClient::read_all(Duration limit) {
    bool all = true;
    for (std::size_t i = 0; i < plan_.keys; ++i) {
        std::vector<std::string> words = {"GET", key_name(i)};
        const bool read = co_await ask(std::move(words), OperationKind::get, Datum(), limit);
        all = all && read;
    }
    co_return all;
}

io::Task<bool> ClusterClient::ask(std::vector<std::string> words, OperationKind kind,
                                  Datum argument, Duration limit) {
    const Instant deadline = reactor_.backend().now() + limit;
    key_ = words[1];
    int redirects = 0;
    for (;;) {
        const std::vector<std::string_view> views(words.begin(), words.end());
        std::string request;
        resp::encode_command(request, views);
        value_ = kind == OperationKind::set ? words[2] : std::string();
        Operation operation;
        operation.client = plan_.client;
        operation.key = key_;
        operation.kind = kind;
        operation.argument = argument;
        operation.start = now_();
        const std::size_t number = history_.begin(std::move(operation));
        ++counters_.requests;
        const Outcome outcome = co_await attempt(number, std::move(request), deadline);
        switch (outcome) {
            case Outcome::done: ++counters_.answered; co_return true;
            case Outcome::moved:
                ++counters_.redirects;
                if (++redirects <= redirects_max) break;
                redirects = 0;
                co_await rest(rest_max);
                break;
            case Outcome::refused:
                ++counters_.refused;
                leaders_[key_] = prng_.below(servers_.size());
                co_await rest(Duration(static_cast<std::int64_t>(
                    prng_.below(static_cast<std::uint64_t>(rest_max.count())))));
                break;
            case Outcome::unknown:
                ++counters_.unknown;
                leaders_[key_] = prng_.below(servers_.size());
                // A read may be asked again; whatever else might then happen twice.
                if (kind != OperationKind::get) co_return false;
                break;
        }
        if (stopping_ || !complaint_.empty()) co_return false;
        if (reactor_.backend().now() >= deadline) co_return false;
        // Should the refused one take effect after all, it shows.
        if (words.size() > 2) argument = Datum::of(words[2] += "r");
    }
}

/// One request to one server. `refused` and `moved`: it had no effect.
io::Task<ClusterClient::Outcome> ClusterClient::attempt(std::size_t operation, std::string request,
                                                        Instant deadline) {
    const auto [known, first] = leaders_.try_emplace(key_, 0);
    if (first) known->second = prng_.below(servers_.size());
    const std::size_t server = known->second;
    std::shared_ptr<ClientConnection>& place = connections_[server];
    if (place != nullptr && place->broken()) drop(server);
    if (place == nullptr) {
        place = std::make_shared<ClientConnection>(reactor_, servers_[server], wake_);
        if (!plain()) place->say_topology();
        reactor_.spawn(ClientConnection::live(place));
    }
    const std::shared_ptr<ClientConnection> connection = place;
    connection->send(std::move(request));
    // Half of what is left, so that another node may be tried.
    const Instant begun = reactor_.backend().now();
    const Instant until = begun + std::max<Duration>((deadline - begun) / 2, 50ms);
    struct Alarm : io::Timer {
        Alarm(io::Reactor& r, io::Event& e) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<Alarm&>(t).event.set(); }),
              reactor(r),
              event(e) {}
        ~Alarm() { reactor.timers().disarm(*this); }  // the client may end while it waits
        io::Reactor& reactor;
        io::Event& event;
    };
    Alarm alarm(reactor_, wake_);
    reactor_.timers().arm(alarm, until);
    while (!connection->has_reply() && !connection->broken() && reactor_.backend().now() < until) {
        wake_.reset();
        co_await wake_.wait();
    }
    reactor_.timers().disarm(alarm);
    if (!connection->problem().empty()) complaint_ = connection->problem();
    if (!connection->has_reply()) {
        const bool unsent = connection->unsent();
        drop(server);
        if (!unsent) co_return Outcome::unknown;
        finish(operation, Known::not_applied, {});
        co_return Outcome::refused;
    }
    const Outcome outcome = judge(operation, connection->reply());
    connection->next();
    co_return outcome;
}

void ClusterClient::finish(std::size_t operation, Known known, Datum result) {
    answer_ = result;
    history_.finish(operation, now_(), known, std::move(result));
}

ClusterClient::Outcome ClusterClient::judge(std::size_t operation,
                                            std::span<const resp::Node> reply) {
    const resp::Node& node = reply[0];
    switch (node.kind) {
        case resp::NodeKind::simple:
            if (node.text != "OK") break;
            if (!value_.empty() && on_put_) on_put_(key_, value_);
            finish(operation, Known::ok, Datum::ok());
            return Outcome::done;
        case resp::NodeKind::integer:
            finish(operation, Known::ok, Datum::of(node.integer));
            return Outcome::done;
        case resp::NodeKind::bulk:
            finish(operation, Known::ok, Datum::of(std::string(node.text)));
            return Outcome::done;
        case resp::NodeKind::nil: finish(operation, Known::ok, Datum::nil()); return Outcome::done;
        case resp::NodeKind::error: return judge_error(operation, node.text);
        default: break;
    }
    complaint_ = fmt::format("a reply of kind {}: {}", static_cast<int>(node.kind), node.text);
    return Outcome::unknown;
}

ClusterClient::Outcome ClusterClient::judge_error(std::size_t operation, std::string_view text) {
    if (text.find("outcome unknown") != text.npos) return Outcome::unknown;
    finish(operation, Known::not_applied, {});
    if (!text.starts_with("MOVED ")) return Outcome::refused;
    if (plain()) {
        complaint_ = fmt::format("a plain client was told: {}", text);
        return Outcome::refused;
    }
    if (const auto server = moved_to(text, servers_)) {
        leaders_[key_] = *server;
        return Outcome::moved;
    }
    complaint_ = fmt::format("sent to a place that is no server: {}", text);
    return Outcome::refused;
}

void ClusterClient::drop(std::size_t server) {
    if (connections_[server] == nullptr) return;
    connections_[server]->abandon();
    connections_[server].reset();
}

io::Task<void> ClusterClient::rest(Duration time) {
    co_await io::SleepAwaiter(reactor_, time);
}

}  // namespace kv::sim
