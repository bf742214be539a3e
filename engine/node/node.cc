#include "engine/node/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/node/info.h"
#include "proto/base/log.h"

namespace kv {

Node::Node(std::span<io::Reactor* const> reactors, Config config, std::uint64_t process_id)
    : reactor_(*reactors.front()),
      config_(std::move(config)),
      process_id_(process_id),
      memory_(static_cast<std::uint16_t>(reactors.size()), config_.limits.maxmemory),
      rss_watch_(reactor_, memory_),
      permits_(reactor_, 1),
      finished_one_(reactor_) {
    for (io::Reactor* const reactor : reactors) {
        parts_.push_back(std::make_unique<Part>(*this, *reactor));
    }
    reactor_.mailboxes().set_receiver(failed_kind, this);
    reactor_.mailboxes().set_receiver(permit_kind, this);
}

Node::~Node() {
    reactor_.mailboxes().set_receiver(failed_kind, nullptr);
    reactor_.mailboxes().set_receiver(permit_kind, nullptr);
    reactor_.timers().disarm(progress_timer_);
    admin_.reset();
    acceptor_.reset();
}

ReplicaSetOptions Node::replica_set_options(std::size_t core) {
    const Identity& identity = directory_.identity();
    const std::size_t cores = parts_.size();
    ReplicaSetOptions options;
    options.node = identity.node;
    options.shards = static_cast<std::uint16_t>(identity.shards);
    options.cores = static_cast<std::uint16_t>(cores);
    options.core = CoreId(static_cast<std::uint16_t>(core));
    options.hash_secret = identity.hash_secret;
    options.boot = identity.boot;
    options.heartbeat_interval = config_.raft.heartbeat_interval;
    options.election_timeout = config_.raft.election_timeout;
    options.leaders = config_.cluster.leaders;
    options.transfer_bytes_per_second = config_.raft.transfer_bytes_per_second;
    if (directory_.is_of_cluster()) {
        options.configuration = directory_.members().formed;
    } else {
        Member self;
        self.node = identity.node;
        self.store = identity.store;
        self.host = config_.client.bind;
        self.client_port = config_.client.port;
        options.configuration.members.push_back(self);
    }
    options.permit = parts_[core].get();
    options.wal = wal_options(core);
    options.wal.bytes_max = config_.wal.bytes_max / cores;
    options.snapshot_directory = directory_.snapshot_directory();
    options.snapshot_limits.log_bytes = config_.snapshot.wal_bytes;
    options.snapshot_limits.entries = config_.snapshot.interval_entries;
    return options;
}

/// Of the generation that the directory has.
wal::WalOptions Node::wal_options(std::size_t core) const {
    const Identity& identity = directory_.identity();
    wal::WalOptions options;
    options.directory = directory_.wal_directory();
    options.store = identity.store;
    options.generation = identity.generation;
    options.core = static_cast<std::uint32_t>(core);
    options.epoch = Epoch(identity.boot);
    options.known_segment = identity.segments[core];
    options.segment_bytes = config_.wal.segment_bytes;
    options.batch_bytes_max = config_.wal.batch_bytes_max;
    options.try_direct = config_.wal.sync != WalSync::fdatasync;
    return options;
}

ServerFacts Node::server_facts() {
    ServerFacts facts;
    facts.store = directory_.identity().store;
    facts.node = config_.node.id;
    facts.data_dir = config_.node.data_dir;
    facts.backend = reactor_.backend().describe();
    facts.process_id = process_id_;
    facts.boot = directory_.identity().boot;
    facts.cores = static_cast<std::uint16_t>(parts_.size());
    facts.shards = static_cast<std::uint16_t>(directory_.identity().shards);
    facts.started_s = reactor_.wall_ns() / 1'000'000'000;
    return facts;
}

namespace {
/// The system's words name the file and the reason, not the remedy.
std::unexpected<Error> start_error(const Error& error) {
    if (error.code != Errc::no_space) return fail(error);
    return fail(error.code, error.text() + ": make room on the disk, then start again");
}

void report_cut(const wal::RecoveryReport& report) {
    if (report.cut_file.empty()) return;
    log::info("cut the end of the log, which nothing proves to have been acknowledged",
              log::field("file", report.cut_file), log::field("offset", report.cut_offset),
              log::field("reason", report.cut_reason));
}
}  // namespace

io::Task<Result<StartReport>> Node::start() {
    Result<StartReport> started = co_await open();
    if (!started && !failure_) co_await close_admin();
    co_return started;
}

io::Task<Result<StartReport>> Node::open() {
    StartReport report;
    const auto cores = static_cast<std::uint16_t>(parts_.size());
    const Company company = has_peers(config_) ? Company::cluster : Company::alone;
    KV_CO_CHECK(co_await directory_.open(reactor_, config_.node.data_dir, config_.node.id,
                                         config_.cluster.shards, cores, company));
    report.created = directory_.created();
    report.boot = directory_.identity().boot;
    KV_CO_CHECK(co_await open_admin());
    if (company == Company::cluster) {
        Status joined = co_await join_cluster();
        if (!joined) {
            co_await for_all(&Node::stop_peers);
            co_return fail(std::move(joined.error()));
        }
    }
    loading_since_ = reactor_.backend().now();
    KV_CO_CHECK(co_await make_parts());
    KV_CO_CHECK(co_await listen());
    Status recovered = co_await recover();
    if (!recovered) {
        // With a log that failed, the process is ending already.
        if (!failure_) co_await acceptor_->stop();
        if (!failure_) co_await for_all(&Node::stop_server);
        if (!failure_) co_await for_all(&Node::stop_peers);
        co_return fail(std::move(recovered.error()));
    }
    report.recovery_time = reactor_.backend().now() - loading_since_;
    for (const auto& part : parts_) {
        const wal::RecoveryReport& one = **part->recovered;
        report.recovery.add(one);
        report_cut(one);
    }
    report.keys = keys();
    co_await serve();
    rss_watch_.start();
    co_return report;
}

/// Meets the other nodes, and returns once this one is a member of their cluster. The first core
/// does so alone: the others connect once there are replicas to speak for.
io::Task<Status> Node::join_cluster() {
    for (const auto& part : parts_) {
        auto make = [&](io::Reactor& here) {
            part->peers = std::make_unique<Peers>(here, config_, directory_);
        };
        co_await io::call_on(reactor_, part->reactor.core(), make);
    }
    Peers& first = *parts_.front()->peers;
    KV_CO_CHECK(co_await first.listen());
    first.connect();
    KV_CO_CHECK(co_await first.form(directory_));
    for (const auto& part : parts_) {
        if (part == parts_.front()) continue;
        auto tell = [&](io::Reactor&) {
            part->peers->introduce_as(directory_);
            part->peers->connect();
        };
        co_await io::call_on(reactor_, part->reactor.core(), tell);
    }
    co_return Status{};
}

/// Another number of cores wrote the log: writes it once more, for those that there are now.
io::Task<Status> Node::bring_into_generation() {
    const std::uint16_t before = directory_.identity().cores();
    const std::size_t now = parts_.size();
    const Instant begun = reactor_.backend().now();
    log::info(
        fmt::format("the log of {} cores is brought into a new generation for {}", before, now));
    change_ = std::make_unique<CoreChange>(reactor_, wal_options(0), directory_.identity().segments,
                                           static_cast<std::uint16_t>(directory_.identity().shards),
                                           static_cast<std::uint16_t>(now));
    Result<wal::Resharded> made = co_await change_->run();
    Status status;
    if (!made) status = fail(made.error());
    if (made) {
        change_.reset();
        for (const wal::RecoveryReport& one : made->reports) report_cut(one);
        status = co_await directory_.note_generation(reactor_, std::move(made->segments));
    }
    if (!status && status.error().code == Errc::no_space) {
        co_return fail(
            Errc::no_space,
            fmt::format("there is no room to bring the log of {} cores into a new generation for "
                        "{}: make room on the disk, or set reactor.cores = {}; no data was changed",
                        before, now, before));
    }
    if (!status) co_return status;
    const Duration taken = reactor_.backend().now() - begun;
    log::info(
        "the new generation is the log", log::field("generation", directory_.identity().generation),
        log::field("cores", now),
        log::field("ms", std::chrono::duration_cast<std::chrono::milliseconds>(taken).count()));
    co_return Status{};
}

/// Each on its core, and lets them know each other.
io::Task<Status> Node::make_parts() {
    if (directory_.identity().cores() != parts_.size()) {
        KV_CO_CHECK(co_await bring_into_generation());
    }
    const ServerFacts facts = server_facts();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        Part& part = *parts_[i];
        auto make = [&](io::Reactor& here) {
            FailureHandler& failures = part;
            part.replicas = std::make_unique<ReplicaSet>(here, replica_set_options(i), failures);
            if (part.peers) part.peers->introduce_to(*part.replicas);
            part.server = std::make_unique<Server>(here, config_, *part.replicas, memory_, facts);
        };
        co_await io::call_on(reactor_, part.reactor.core(), make);
    }
    std::vector<Services*> services;
    for (const auto& part : parts_) services.push_back(part->server.get());
    if (admin_) admin_->pages.set_services(services);
    for (const auto& part : parts_) {
        auto introduce = [&](io::Reactor&) { part->server->of_core = services; };
        co_await io::call_on(reactor_, part->reactor.core(), introduce);
    }
    acceptor_ = std::make_unique<Acceptor>(reactor_, parts_.front()->server->config,
                                           *parts_.front()->server);
    co_return Status{};
}

/// Before the data are there: who watches the node is to see it start.
io::Task<Status> Node::open_admin() {
    if (config_.admin.port == 0) co_return Status{};
    admin_ = std::make_unique<Admin>(reactor_, config_);
    KV_CO_CHECK(co_await admin_->server.listen());
    admin_->pulse.start();
    co_return Status{};
}

io::Task<void> Node::close_admin() {
    if (!admin_) co_return;
    co_await admin_->server.stop();
    co_await admin_->pulse.stop();
}

io::Task<Status> Node::listen() {
    KV_CO_CHECK(co_await acceptor_->listen());
    for (const auto& part : parts_) {
        auto tell = [&](io::Reactor&) { part->server->set_port(acceptor_->endpoint().port); };
        co_await io::call_on(reactor_, part->reactor.core(), tell);
    }
    co_return Status{};
}

/// Every replica of every core is there: from now on clients may touch them.
io::Task<void> Node::serve() {
    for (const auto& part : parts_) {
        auto tell = [&](io::Reactor&) {
            part->server->loading = false;
            if (part->peers == nullptr) return;
            part->peers->serve(*part->replicas, part->server->forwarder);
            part->server->set_peers(part->peers.get());
        };
        co_await io::call_on(reactor_, part->reactor.core(), tell);
    }
}

void Node::progress_due() {
    ++under_way_;  // for_all() waits for it, too
    reactor_.spawn(tell_progress());
}

io::Task<void> Node::tell_progress() {
    std::vector<LoadProgress> cores;
    for (const auto& part : parts_) {
        auto look = [&](io::Reactor&) { cores.push_back(part->replicas->load_progress()); };
        co_await io::call_on(reactor_, part->reactor.core(), look);
    }
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
        reactor_.backend().now() - loading_since_);
    const LoadEstimate estimate = estimate_load(cores, elapsed);
    log::info("loading", log::field("percent", fmt::format("{:.1f}", estimate.percent)),
              log::field("bytes_done", estimate.bytes_done),
              log::field("bytes_total", estimate.bytes_total), log::field("eta_s", estimate.eta_s));
    reactor_.timers().arm(progress_timer_, reactor_.now() + progress_period);
    --under_way_;
    finished_one_.set();
}

/// Brings all parts to the end of their logs.
io::Task<Status> Node::recover() {
    reactor_.timers().arm(progress_timer_, reactor_.now() + progress_period);
    co_await for_all(&Node::recover_part);
    reactor_.timers().disarm(progress_timer_);
    std::vector<SegmentSeq> segments;
    for (const auto& part : parts_) {
        if (!*part->recovered) co_return start_error(part->recovered->error());
        segments.push_back(part->replicas->opened_segment());
    }
    co_return co_await directory_.note_segments(reactor_, std::move(segments));
}

io::Task<void> Node::recover_part(Part* part) {
    auto open = [part](io::Reactor&) { return part->replicas->open(); };
    Result<wal::RecoveryReport> recovered =
        co_await io::call_on(reactor_, part->reactor.core(), open);
    part->recovered = std::move(recovered);
}

io::Task<void> Node::stop_server(Part* part) {
    if (part->server == nullptr) co_return;
    auto stop = [part](io::Reactor&) { return part->server->stop(); };
    co_await io::call_on(reactor_, part->reactor.core(), stop);
}

io::Task<void> Node::hand_over(Part* part) {
    if (part->peers == nullptr || part->replicas == nullptr) co_return;
    auto hand_over = [part](io::Reactor&) { return part->replicas->hand_over_all(); };
    co_await io::call_on(reactor_, part->reactor.core(), hand_over);
}

io::Task<void> Node::stop_peers(Part* part) {
    if (part->peers == nullptr) co_return;
    auto stop = [part](io::Reactor&) { return part->peers->stop(); };
    co_await io::call_on(reactor_, part->reactor.core(), stop);
}

io::Task<void> Node::stop_replicas(Part* part) {
    if (part->replicas == nullptr) co_return;
    auto stop = [part](io::Reactor&) { return part->replicas->stop(); };
    co_await io::call_on(reactor_, part->reactor.core(), stop);
}

/// Runs `work` for all parts at once, and waits until it is done for each.
io::Task<void> Node::for_all(io::Task<void> (Node::*work)(Part*)) {
    KV_ASSERT(under_way_ == 0);
    under_way_ = parts_.size();
    for (const auto& part : parts_) reactor_.spawn(run_one(work, part.get()));
    while (under_way_ != 0) {
        finished_one_.reset();
        co_await finished_one_.wait();
    }
}

io::Task<void> Node::run_one(io::Task<void> (Node::*work)(Part*), Part* part) {
    co_await (this->*work)(part);
    --under_way_;
    finished_one_.set();
}

io::Task<void> Node::stop() {
    if (acceptor_) co_await acceptor_->stop();
    co_await rss_watch_.stop();
    // Clients are served until the last: then there is another node that they can be sent to.
    co_await for_all(&Node::hand_over);
    // Those of every core before the rest: their requests may be under way on any other.
    co_await for_all(&Node::stop_server);
    co_await for_all(&Node::stop_peers);
    co_await close_admin();
    co_await for_all(&Node::stop_replicas);
    co_await directory_.close();
}

const Store& Node::store(ShardId shard) const noexcept {
    const CoreId core = parts_.front()->replicas->placement().core_of(shard);
    return parts_[core.value()]->replicas->store(shard);
}

std::uint64_t Node::keys() const noexcept {
    std::uint64_t keys = 0;
    for (const auto& part : parts_) keys += part->replicas->keys();
    return keys;
}

std::string Node::info(std::span<const std::string_view> sections) {
    std::vector<CoreFacts> cores;
    for (const auto& part : parts_) cores.push_back(part->server->core_facts());
    return render_info(parts_.front()->server->node_facts(), cores, sections);
}

std::uint64_t Node::digest() const noexcept {
    std::uint64_t digest = 0;
    for (std::uint16_t i = 0; i < shards(); ++i) {
        const Store& one = store(ShardId(i));
        digest = mix_seed(digest, mix_seed(one.digest(), one.size()));
    }
    return digest;
}

void Node::Part::on_storage_failed(const Error& error) noexcept {
    if (failure) return;
    failure = error;
    if (&reactor == &node.reactor_) return node.on_failed(error);
    // The first core reads what is here once it has the message.
    reactor.mailboxes().send(node.reactor_.core(), {failed_kind, 0, nullptr});
}

io::Task<void> Node::take_permit() {
    co_await permits_.take();
}

io::Task<void> Node::Part::take() {
    auto ask = [this](io::Reactor&) { return node.take_permit(); };
    co_await io::call_on(reactor, node.reactor_.core(), ask);
}

void Node::Part::give() {
    if (&reactor == &node.reactor_) return node.permits_.give();
    reactor.mailboxes().send(node.reactor_.core(), {permit_kind, 0, nullptr});
}

void Node::on_message(CoreId from, const io::Message& message) noexcept {
    if (message.kind == permit_kind) return permits_.give();
    on_failed(*parts_[from.value()]->failure);
}

void Node::on_failed(const Error& error) noexcept {
    if (failure_) return;
    failure_ = error;
    log::critical(
        "the log has failed: nothing is acknowledged any more, ending the process; start it "
        "again once the disk is sound, and recovery will decide what holds",
        log::field("error", error.text()));
    reactor_.stop();
}

}  // namespace kv
