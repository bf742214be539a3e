#include "bin/kv-bench/map_keeper.h"

#include <fmt/format.h>

#include <algorithm>

#include "bin/client/shard_map.h"
#include "io/uring/uring_backend.h"

namespace kv::bench {

namespace {

/// One connection at a time.
constexpr io::UringOptions ring_options{.buffers = 16, .buffer_bytes = 16384};

client::ClientOptions to(std::string host, std::uint16_t port, Duration patience) {
    client::ClientOptions options;
    options.host = std::move(host);
    options.port = port;
    options.connect_timeout = patience;
    options.reply_timeout = patience;
    return options;
}

}  // namespace

MapKeeper::~MapKeeper() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
}

Status MapKeeper::start(const Options& options) {
    thread_ = std::jthread([this, &options] {
        auto backend = io::UringBackend::create(ring_options);
        Status begun = backend ? Status() : Status(fail(backend.error()));
        std::optional<io::Reactor> reactor;
        if (begun) begun = begin(options, reactor.emplace(**backend));
        const bool goes_on = begun.has_value();
        {
            const std::lock_guard lock(mutex_);
            started_ = std::move(begun);
        }
        changed_.notify_all();
        if (goes_on) run(*reactor);
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return started_.has_value(); });
    return *started_;
}

Status MapKeeper::begin(const Options& options, io::Reactor& reactor) {
    const Instant deadline = reactor.backend().now() + first_patience;
    const auto first = to(options.host, options.port, client::connect_timeout_default);
    for (;;) {
        KV_TRY(const ShardMap map, client::fetch_shard_map(reactor, first));
        KV_CHECK(take(map));
        if (known_.complete()) break;
        if (reactor.backend().now() > deadline) {
            return fail(
                Errc::io,
                fmt::format("{}:{} knows no leader of shard {}", options.host, options.port,
                            std::ranges::find(known_.terms, Term()) - known_.terms.begin()));
        }
        std::this_thread::sleep_for(refresh_every);
    }
    publish();
    return {};
}

void MapKeeper::run(io::Reactor& reactor) {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return wanted_ || stopping_; });
        if (stopping_) return;
        wanted_ = false;
        lock.unlock();
        refresh(reactor);
        lock.lock();
        changed_.wait_for(lock, refresh_every, [&] { return stopping_; });
    }
}

/// Asks every node: of those that answer, who has the latest term is right.
void MapKeeper::refresh(io::Reactor& reactor) {
    refreshes_.fetch_add(1, std::memory_order_relaxed);
    const std::vector<Routes::Node> nodes = known_.nodes;
    for (const Routes::Node& node : nodes) {
        const auto map = client::fetch_shard_map(reactor, to(node.host, node.port, node_patience));
        // Who does not answer, or has a map of another cluster, has nothing to say.
        if (map && take(*map)) publish();
    }
}

Status MapKeeper::take(const ShardMap& map) {
    KV_TRY(const bool changed, known_.merge(map));
    unpublished_ = unpublished_ || changed;
    for (Routes::Node& node : known_.nodes) {
        if (node.endpoint.port != 0 || node.port == 0) continue;
        KV_TRY(const std::vector<io::Endpoint> found, client::resolve(node.host, node.port));
        node.endpoint = found.front();
    }
    return {};
}

void MapKeeper::publish() {
    if (!unpublished_) return;
    unpublished_ = false;
    auto routes = std::make_shared<const Routes>(known_);
    const std::lock_guard lock(mutex_);
    routes_ = std::move(routes);
    version_.fetch_add(1, std::memory_order_release);
}

void MapKeeper::want_refresh() noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (wanted_) return;
        wanted_ = true;
    }
    changed_.notify_all();
}

std::shared_ptr<const Routes> MapKeeper::routes() const {
    const std::lock_guard lock(mutex_);
    return routes_;
}

}  // namespace kv::bench
