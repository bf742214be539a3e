#include "bin/client/cluster_client.h"

#include <algorithm>
#include <array>

#include "bin/client/request.h"
#include "bin/client/shard_map.h"
#include "proto/base/log.h"

namespace kv::client {

namespace {

/// A node of a cluster that takes longer is passed over: others may answer.
constexpr Duration node_connect_timeout = 1s;
constexpr Duration map_reply_timeout = 1s;
/// Between two rounds that got nowhere; doubled each time.
constexpr Duration pause_min = 5ms;
constexpr Duration pause_max = 200ms;

}  // namespace

Result<std::unique_ptr<ClusterClient>> ClusterClient::connect(io::Reactor& reactor,
                                                              ClusterOptions options) {
    KV_ASSERT(!options.nodes.empty());
    std::unique_ptr<ClusterClient> cluster(new ClusterClient(reactor, std::move(options)));
    cluster->nodes_ = cluster->options_.nodes;
    std::optional<Error> last;
    for (const Address& address : cluster->options_.nodes) {
        cluster->home_ = address;
        const auto opened = cluster->connection(address);
        if (opened) return cluster;
        last = opened.error();
    }
    return fail(*std::move(last));
}

void ClusterClient::learn() {
    if (options_.follow) refresh();
}

Result<Reply> ClusterClient::call(std::span<const std::string_view> words) {
    KV_TRY(std::string request, encode_words(mode(), words, next_request_id()));
    std::array<Exchange, 1> batch{Exchange(mode(), std::move(request))};
    KV_CHECK(run(batch, [](Exchange&) {}));
    return std::move(batch.front().reply);
}

// --- connections ---------------------------------------------------------------------------------

ClientOptions ClusterClient::client_options(const Address& address, Mode mode) const {
    ClientOptions options;
    options.host = address.host;
    options.port = address.port;
    options.mode = mode;
    options.connect_timeout = in_cluster()
                                  ? std::min(options_.connect_timeout, node_connect_timeout)
                                  : options_.connect_timeout;
    options.reply_timeout = options_.reply_timeout;
    return options;
}

Result<std::unique_ptr<Client>> ClusterClient::open(const Address& address) {
    KV_TRY(std::unique_ptr<Client> client,
           Client::connect(reactor_, client_options(address, mode())));
    if (!options_.resp3) return client;
    constexpr std::array<std::string_view, 2> hello{"HELLO", "3"};
    KV_TRY(const Reply reply, client->call(hello));
    if (reply.refused()) return fail(Errc::no_protocol, reply.text);
    return client;
}

/// One that the server has closed meanwhile is not used again: what is sent into it would be
/// unknown.
Result<Client*> ClusterClient::connection(const Address& address) {
    std::unique_ptr<Client>& client = clients_[address.text()];
    if (client && in_cluster() && client->ended()) client.reset();
    if (!client) {
        auto opened = open(address);
        if (!opened) {
            clients_.erase(address.text());
            return fail(std::move(opened.error()));
        }
        client = *std::move(opened);
    }
    return client.get();
}

/// The next of all nodes is the one for what has no slot.
void ClusterClient::leave_home() {
    const auto here = std::ranges::find(nodes_, home_);
    const auto at = static_cast<std::size_t>(here - nodes_.begin());
    home_ = nodes_[here == nodes_.end() ? 0 : (at + 1) % nodes_.size()];
}

// --- who leads what ------------------------------------------------------------------------------

bool ClusterClient::in_cluster() const noexcept {
    return options_.follow && nodes_.size() > 1;
}

/// Asks one node after the other, each time from another one on: who was cut off has old news.
void ClusterClient::refresh() {
    stale_ = false;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const Address address = nodes_[next_asked_++ % nodes_.size()];
        ClientOptions options = client_options(address, Mode::resp);
        options.reply_timeout = std::min(options.reply_timeout, map_reply_timeout);
        Result<ShardMap> map = fetch_shard_map(reactor_, std::move(options));
        if (!map) {
            log::debug("no shard map", log::field("node", address.text()),
                       log::field("error", map.error().text()));
            continue;
        }
        if (map->nodes.size() < 2) return;
        map_ = *std::move(map);
        for (const ShardMap::Node& node : map_.nodes) know({node.host, node.client_port});
        return;
    }
}

void ClusterClient::know(const Address& address) {
    const bool known = std::ranges::find(nodes_, address) != nodes_.end();
    if (!known && nodes_.size() < 2 * ShardMap::nodes_max) nodes_.push_back(address);
}

Address ClusterClient::target(const Exchange& exchange) const {
    if (exchange.go_to.port != 0) return exchange.go_to;
    if (!exchange.route.slot || map_.shards.empty()) return home_;
    const ShardMap::Shard& shard = map_.shards[map_.shard_of(*exchange.route.slot).value()];
    const ShardMap::Node* const leader = map_.find(shard.leader);
    return leader != nullptr ? Address{leader->host, leader->client_port} : home_;
}

// --- batches -------------------------------------------------------------------------------------

namespace {

bool pending(const Exchange& exchange) noexcept {
    return !exchange.answered;
}

/// Pending, and nobody said where to ask.
bool refused(const Exchange& exchange) noexcept {
    return !exchange.answered && exchange.begun && exchange.go_to.port == 0;
}

/// Refuses for good what was refused, when something behind it that may concern the same slot had
/// its turn.
void give_up_late(std::span<Exchange> batch) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
        Exchange& early = batch[i];
        if (early.answered || !early.begun) continue;
        const auto passes_it = [&](const Exchange& late) {
            return late.answered &&
                   (!early.route.slot || !late.route.slot || *early.route.slot == *late.route.slot);
        };
        early.answered = std::ranges::any_of(batch.subspan(i + 1), passes_it);
    }
}

/// What was refused so far stays so. False: nothing was.
bool give_up_refused(std::span<Exchange> batch) {
    bool any = false;
    for (Exchange& each : batch) {
        if (each.answered || !each.begun) continue;
        each.answered = true;
        any = true;
    }
    return any;
}

}  // namespace

Status ClusterClient::run(std::span<Exchange> batch, const Settled& settled) {
    KV_ASSERT(batch.size() <= exchanges_max);
    if (stale_ && options_.follow) refresh();
    unsettled_ = batch;
    settled_ = &settled;
    Instant deadline = reactor_.backend().now() + options_.patience;
    // Each node may be silent once for longer than that: the others are asked all the same.
    std::size_t silences_left = nodes_.size();
    Duration next_pause{};
    for (auto left = std::ssize(batch); left > 0;) {
        error_.reset();
        const Instant asked = reactor_.backend().now();
        ask_all(batch);
        const Duration took = reactor_.backend().now() - asked;
        if (took > options_.patience && silences_left > 0) {
            --silences_left;
            deadline += took;
        }
        give_up_late(batch);
        emit();
        const auto before = std::exchange(left, std::ranges::count_if(batch, pending));
        if (left == 0 || (error_ && !in_cluster())) break;
        if (!options_.follow || reactor_.backend().now() >= deadline) {
            // What has waited behind it is still to have its turn.
            if (!give_up_refused(batch) && left == before) break;
            emit();
            left = std::ranges::count_if(batch, pending);
            continue;
        }
        if (left < before) next_pause = {};
        pause(reactor_, next_pause);
        next_pause = std::clamp(2 * next_pause, pause_min, pause_max);
        if (std::ranges::any_of(batch, refused)) refresh();
    }
    settled_ = nullptr;
    if (std::ranges::none_of(batch, pending)) return {};
    KV_ASSERT(error_.has_value(), "what was answered by nobody was lost");
    return fail(*error_);
}

/// One round: asks each node for its part of what is pending. Of a cluster that is what has a slot,
/// up to the first that has none, which goes alone. What has the same slot goes the same way.
void ClusterClient::ask_all(std::span<Exchange> batch) {
    struct Way {
        Address address;
        Part part;
    };
    std::map<std::string, Way> ways;
    std::map<SlotId, Address> targets;
    for (Exchange& each : batch) {
        if (each.answered) continue;
        const bool alone = in_cluster() && !each.route.slot;
        if (alone && !ways.empty()) break;
        Address address = target(each);
        if (each.route.slot) address = targets.try_emplace(*each.route.slot, address).first->second;
        Way& way = ways[address.text()];
        way.address = address;
        way.part.push_back(&each);
        if (alone) break;
    }
    for (const auto& [text, way] : ways) ask(way.address, way.part);
}

/// Asks the node at `address` for `part` in one go.
void ClusterClient::ask(const Address& address, const Part& part) {
    const auto client = connection(address);
    if (!client) return lose(address, client.error(), part, false);
    std::string requests;
    for (const Exchange* each : part) requests += each->request;
    for (std::size_t i = 0; i < part.size(); ++i) {
        auto reply = i == 0 ? (*client)->call(requests) : (*client)->next_reply();
        part[i]->pushes = (*client)->take_pushes();
        if (!reply) return lose(address, reply.error(), std::span(part).subspan(i), true);
        take(*part[i], *std::move(reply));
    }
}

void ClusterClient::take(Exchange& exchange, Reply reply) {
    const Next next = options_.follow ? next_step(mode(), exchange.route, reply) : Next();
    exchange.reply = std::move(reply);
    exchange.begun = true;
    exchange.go_to = parse_address(next.address).value_or(Address());
    const bool leads_nowhere = next.step == Step::follow && exchange.go_to.port == 0;
    exchange.answered = next.step == Step::done || leads_nowhere;
    if (exchange.answered) return emit();
    stale_ = true;
    if (next.step == Step::follow) know(exchange.go_to);
}

/// The connection to `address` did not come about, or ended before `part` was answered. In a
/// cluster that is an answer, for the time being or for good.
void ClusterClient::lose(const Address& address, const Error& error,
                         std::span<Exchange* const> part, bool sent) {
    clients_.erase(address.text());
    error_ = error;
    for (Exchange* each : part) {
        each->sent = sent;
        each->begun = in_cluster();
        each->go_to = {};
        each->reply = lost_reply(each->route, sent, error.text());
    }
    if (!in_cluster()) return;
    stale_ = true;
    if (address == home_) leave_home();
    // What is not of this protocol is so the next time, too.
    const bool lost = error.code == Errc::closed || error.code == Errc::io;
    for (Exchange* each : part) {
        const Step step = step_after_loss(each->route, sent);
        each->answered = step == Step::unknown || (sent && !lost);
    }
}

/// Hands on what is answered up to the first that is not.
void ClusterClient::emit() {
    while (!unsettled_.empty() && unsettled_.front().answered) {
        (*settled_)(unsettled_.front());
        unsettled_ = unsettled_.subspan(1);
    }
}

}  // namespace kv::client
