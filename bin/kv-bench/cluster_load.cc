#include "bin/kv-bench/cluster_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bin/kv-bench/worker.h"

namespace kv::bench {

namespace {

/// What is too slow is looked for this often.
constexpr Duration check_every = 100ms;
/// A node that says nothing may have been replaced: who asks the others need not wait for it.
constexpr Duration suspicious_silence = 200ms;

Duration longer(Duration backoff, Duration least, Duration most) noexcept {
    return std::clamp(2 * backoff, least, most);
}

}  // namespace

ClusterLoad::ClusterLoad(Worker& worker, MapKeeper& keeper,
                         const std::vector<std::unique_ptr<Connection>>& connections)
    : worker_(worker),
      keeper_(keeper),
      connections_(connections),
      key_slots_(key_of_zeros(worker.options().workload, Operation::get),
                 worker.workload().digits()),
      routes_(keeper.routes()),
      room_(routes_->home.size()),
      gaps_(routes_->home.size()) {
    if (worker.options().workload.mix.has(Operation::incr)) {
        counter_slots_.emplace(key_of_zeros(worker.options().workload, Operation::incr),
                               worker.workload().digits());
    }
    counts_.collected = &errors_;
    batch_.reserve(worker.options().pipeline);
    take_routes();
}

void ClusterLoad::begin_phase(Instant now) {
    room_ = WaitingRoom(routes_->home.size());
    room_.move(routes_->home, nodes_.size());
    gaps_ = ShardGaps(routes_->home.size());
    for (Node& node : nodes_) node.idle.clear();
    for (const auto& connection : connections_) {
        connection->place.idle = false;
        connection->place.answered = 0;
    }
    for (const auto& connection : connections_) {
        if (connection->place.ready) offer(*connection, now);
    }
}

// --- which connection is to which node ----------------------------------------------------------

void ClusterLoad::take_routes() {
    version_ = keeper_.version();
    routes_ = keeper_.routes();
    nodes_.resize(std::max(nodes_.size(), routes_->nodes.size()));
    room_.move(routes_->home, nodes_.size());
    bind_connections();
}

/// How many of some requests each node gets.
std::vector<std::uint64_t> ClusterLoad::weigh() const {
    const WorkloadOptions& workload = worker_.options().workload;
    KeyPicker picker(worker_.workload().key_space(), Prng::split(workload.seed, "bench weights"),
                     0);
    const auto counters = static_cast<std::uint64_t>(workload.mix.share(Operation::incr) *
                                                     static_cast<double>(requests_sampled));
    std::vector<std::uint64_t> weights(nodes_.size());
    for (std::uint64_t i = 0; i < requests_sampled; ++i) {
        const Operation operation = i < counters ? Operation::incr : Operation::get;
        ++weights[routes_->home[shard_of(operation, picker.next())]];
    }
    for (std::uint64_t& weight : weights) {
        if (weight < requests_least) weight = 0;
    }
    return weights;
}

/// Moves as few as possible, and first those that are not connected anyway.
void ClusterLoad::bind_connections() {
    const std::vector<std::size_t> wanted = divide(connections_.size(), weigh());
    const bool first = std::ranges::all_of(nodes_, [](const Node& n) { return n.bound == 0; });
    std::size_t poor = 0;
    const auto next_poor = [&] {
        while (poor < nodes_.size() && nodes_[poor].bound >= wanted[poor]) ++poor;
        return poor < nodes_.size();
    };
    for (const bool ready : {false, true}) {
        for (const auto& connection : connections_) {
            auto& place = connection->place;
            if (place.ready != ready || (!first && nodes_[place.node].bound <= wanted[place.node]))
                continue;
            if (!next_poor()) return;
            if (!first) --nodes_[place.node].bound;
            place.node = static_cast<std::uint16_t>(poor);
            if (first) place.at = place.node;
            ++nodes_[poor].bound;
            if (ready && !connection->busy()) leave(*connection);
        }
    }
}

void ClusterLoad::leave(Connection& connection) {
    auto& place = connection.place;
    if (place.ready) --nodes_[place.at].ready;
    if (place.idle) std::erase(nodes_[place.at].idle, &connection);
    place.ready = place.idle = false;
    connection.close();
}

void ClusterLoad::connect_away(Instant now) {
    const auto begin = [&](Connection* connection) {
        auto& place = connection->place;
        const io::Endpoint& to = routes_->nodes[place.node].endpoint;
        if (to.port == 0 || now < nodes_[place.node].connect_at) return false;
        place.at = place.node;
        place.connect_began = now;
        connection->connect(to);
        ++connecting_;
        return true;
    };
    std::erase_if(away_, begin);
}

void ClusterLoad::connected(Connection& connection, std::int32_t result) {
    --connecting_;
    Node& node = nodes_[connection.place.at];
    if (result >= 0) {
        node.connect_backoff = {};
        return worker_.attach(connection, result);
    }
    away_.push_back(&connection);
    keeper_.want_refresh();
    const Instant now = worker_.clock();
    if (now < node.connect_at) return;  // one of many that failed together
    node.connect_backoff =
        longer(node.connect_backoff, connect_backoff_least, connect_backoff_most);
    node.connect_at = now + node.connect_backoff;
}

void ClusterLoad::ready(Connection& connection) {
    connection.place.ready = true;
    ++nodes_[connection.place.at].ready;
    offer(connection, worker_.clock());
}

void ClusterLoad::check_silence(Instant now) {
    const Duration timeout = worker_.options().timeout;
    for (const auto& connection : connections_) {
        if (connection->connecting() && now - connection->place.connect_began > connect_patience) {
            connection->cancel_connect();
        } else if (connection->open() && !connection->place.ready &&
                   now - connection->place.connect_began > connect_patience) {
            leave(*connection);  // it does not even greet
        } else if (connection->busy() && now - connection->sent_at() > timeout) {
            lost(*connection, timed_out_text, "no reply in time", now);
        }
    }
    for (std::size_t shard = 0; shard < routes_->home.size(); ++shard) {
        const Duration silence = gaps_.silence(shard, now);
        if (silence > suspicious_silence) keeper_.want_refresh();
        if (silence > timeout) give_up(shard, now - timeout);
    }
}

/// What waits for `shard` since before `then`.
void ClusterLoad::give_up(std::size_t shard, Instant then) {
    Measured& measured = worker_.measured();
    for (const OpenRequest& request : room_.take_older(shard, then)) {
        const std::string_view why = request.again ? name(request.refusal) : "node not connected";
        measured.counts.errors.add(fmt::format("{}: {}", timed_out_text, why),
                                   fmt::format("no OK from shard {} in time", shard));
        ++measured.unanswered;
        gaps_.failed(shard);
    }
}

void ClusterLoad::look_around(Instant now) {
    if (keeper_.version() != version_) take_routes();
    if (!away_.empty()) connect_away(now);
    if (now >= check_at_) {
        check_at_ = now + check_every;
        check_silence(now);
    }
    if (room_.total() > room_.unsent() || !away_.empty()) keeper_.want_refresh();
    if (room_.unsent() > 0 && worker_.drops_unsent(now)) {
        const std::vector<OpenRequest> dropped = room_.take_unsent();
        for (const OpenRequest& request : dropped) gaps_.dropped(request.shard);
        worker_.measured().not_sent += dropped.size();
    }
    if (worker_.paced() || worker_.loading()) {
        draw_due(now);
    } else {
        draw_for_the_absent(now);
    }
    for (Node& node : nodes_) {
        for (std::size_t left = node.idle.size(); left > 0; --left) {
            Connection& connection = *node.idle.front();
            node.idle.pop_front();
            connection.place.idle = false;
            if (!offer(connection, now)) break;
        }
    }
}

void ClusterLoad::abandon() {
    for (std::size_t shard = 0; shard < routes_->home.size(); ++shard) {
        const std::vector<OpenRequest> left = room_.take_older(shard, Instant::max());
        if (left.empty()) continue;
        worker_.measured().counts.errors.add(interrupted_text, {}, left.size());
        worker_.measured().unanswered += left.size();
        for (std::size_t i = 0; i < left.size(); ++i) gaps_.failed(shard);
    }
}

// --- what is sent -------------------------------------------------------------------------------

bool ClusterLoad::offer(Connection& connection, Instant now) {
    auto& place = connection.place;
    if (place.at != place.node) {
        leave(connection);
        return false;
    }
    Node& node = nodes_[place.node];
    std::size_t most = worker_.options().pipeline;
    batch_.clear();
    if (worker_.paced()) {
        const std::size_t among = node.idle.size() + 1;
        most = std::min(most, (room_.of_node(place.node) + among - 1) / among);
    } else if (worker_.loading() && room_.of_node(place.node) < most) {
        draw_due(now);
    }
    room_.take(place.node, most, now, batch_);
    if (!worker_.paced() && !worker_.loading()) draw_own(connection, now);
    if (batch_.empty()) {
        place.idle = true;
        node.idle.push_back(&connection);
        return false;
    }
    worker_.began_batch(now);
    connection.send(batch_);
    return true;
}

/// One of a key that is at home on `node`.
OpenRequest ClusterLoad::draw(Connection& from, std::size_t node, Instant now) {
    OpenRequest request{.born = now, .operation = from.writer().draw_operation()};
    for (unsigned i = 0; i < draws_max; ++i) {
        request.key = from.writer().draw_key();
        request.shard = shard_of(request.operation, request.key);
        if (routes_->home[request.shard] == node) break;
    }
    gaps_.began(request.shard, now);
    return request;
}

/// Fills the batch with requests of its node, but for its part of those that wait for that.
void ClusterLoad::draw_own(Connection& connection, Instant now) {
    const std::size_t node = connection.place.node;
    const std::size_t waiting = room_.of_node(node) / nodes_[node].bound;
    const std::size_t taken = batch_.size() + waiting;
    if (taken >= worker_.options().pipeline) return;
    const Batch drawn = worker_.take(worker_.options().pipeline - taken, now);
    for (std::size_t i = 0; i < drawn.count; ++i) batch_.push_back(draw(connection, node, now));
}

/// Draws what is due, or the next keys to load, whatever nodes they belong to. The random numbers
/// are those of the first connection.
void ClusterLoad::draw_due(Instant now) {
    const std::size_t most =
        worker_.paced() ? unsent_max : 2 * connections_.size() * worker_.options().pipeline;
    if (room_.unsent() >= most) return;
    BatchWriter& writer = connections_.front()->writer();
    const Batch drawn = worker_.take(most - room_.unsent(), now);
    for (std::size_t i = 0; i < drawn.count; ++i) {
        OpenRequest request{.born = now};
        if (drawn.load) {
            request.key = drawn.first + i;
            request.operation = Operation::set;
        } else {
            request.born = worker_.intended(drawn.first + i);
            request.operation = writer.draw_operation();
            request.key = writer.draw_key();
        }
        request.shard = shard_of(request.operation, request.key);
        gaps_.began(request.shard, request.born);
        room_.add(request);
    }
}

/// A node that no connection reaches has requests too, which wait for it.
void ClusterLoad::draw_for_the_absent(Instant now) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i].ready > 0 || nodes_[i].bound == 0) continue;
        const std::size_t most = nodes_[i].bound * worker_.options().pipeline;
        if (room_.of_node(i) >= most) continue;
        const Batch drawn = worker_.take(most - room_.of_node(i), now);
        for (std::size_t n = 0; n < drawn.count; ++n) {
            room_.add(draw(*connections_.front(), i, now));
        }
    }
}

// --- what becomes of it -------------------------------------------------------------------------

void ClusterLoad::replied(Connection& connection, std::span<const OpenRequest> requests,
                          Instant now) {
    ReplyCounts& counts = worker_.measured().counts;
    const std::uint64_t first = counts_.replies - requests.size();
    std::size_t next_error = 0;
    std::size_t done = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const OpenRequest& request = requests[i];
        if (next_error < errors_.size() && errors_[next_error].at == first + i) {
            if (!take_error(request, errors_[next_error++], now)) continue;
        } else {
            gaps_.answered(request.shard, now);
            room_.served(request.shard);
        }
        ++done;
        if (worker_.paced() || request.again) {
            worker_.record_latency(now - request.born);
        } else {
            ++connection.place.answered;
        }
    }
    counts.replies += done;
    counts.not_found += std::exchange(counts_.not_found, 0);
    errors_.clear();
}

bool ClusterLoad::take_error(const OpenRequest& request, const ErrorReply& error, Instant now) {
    const ErrorClass why = classify_error(error.kind, error.text);
    Measured& measured = worker_.measured();
    // A read may be repeated whatever became of it.
    const bool again = worth_repeating(why) ||
                       (request.operation == Operation::get && why == ErrorClass::unknown_outcome);
    if (!again) {
        measured.counts.errors.add(error.kind, error.text);
        gaps_.failed(request.shard);
        return true;
    }
    measured.retried.add(error.kind, error.text);
    refuse(request, why, now);
    return false;
}

void ClusterLoad::refuse(OpenRequest request, ErrorClass why, Instant now) {
    request.refusal = why;
    request.again = true;
    room_.refused(request, now);
    if (why != ErrorClass::busy) keeper_.want_refresh();
}

void ClusterLoad::lost(Connection& connection, std::string_view kind, std::string_view why,
                       Instant now) {
    Measured& measured = worker_.measured();
    if (connection.busy()) {
        const std::string unknown = fmt::format("{}: {}", unknown_outcome_text, kind);
        for (const OpenRequest& request : connection.awaited_requests()) {
            if (request.operation == Operation::get) {
                measured.retried.add(kind, why);
                refuse(request, classify_error(kind), now);
            } else {
                measured.counts.errors.add(unknown, why);
                ++measured.unanswered;
                gaps_.failed(request.shard);
            }
        }
        const std::size_t answered = std::exchange(connection.place.answered, 0);
        if (!worker_.paced()) worker_.record_latency(now - connection.sent_at(), answered);
        connection.give_up();
        worker_.gave_up_batch();
    }
    leave(connection);
    keeper_.want_refresh();
}

}  // namespace kv::bench
