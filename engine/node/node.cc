#include "engine/node/node.h"

#include "proto/base/log.h"

namespace kv {

Node::Node(io::Reactor& reactor, Config config, std::uint64_t process_id)
    : reactor_(reactor), config_(std::move(config)), process_id_(process_id) {}

Node::~Node() = default;

ReplicaSetOptions Node::replica_set_options() const {
    const Identity& identity = directory_.identity();
    ReplicaSetOptions options;
    options.node = identity.node;
    options.shards = static_cast<std::uint16_t>(identity.shards);
    options.hash_secret = identity.hash_secret;
    Member self;
    self.node = identity.node;
    self.store = identity.store;
    self.host = config_.client.bind;
    self.client_port = config_.client.port;
    options.configuration.members.push_back(self);
    options.wal.directory = directory_.wal_directory();
    options.wal.store = identity.store;
    options.wal.generation = identity.generation;
    options.wal.epoch = Epoch(identity.boot);
    options.wal.known_segment = identity.segment;
    options.wal.segment_bytes = config_.wal.segment_bytes;
    options.wal.batch_bytes_max = config_.wal.batch_bytes_max;
    options.wal.bytes_max = config_.wal.bytes_max;
    options.snapshot_directory = directory_.snapshot_directory();
    options.snapshot_limits.log_bytes = config_.snapshot.wal_bytes;
    options.snapshot_limits.entries = config_.snapshot.interval_entries;
    options.wal.try_direct = config_.wal.sync != WalSync::fdatasync;
    return options;
}

io::Task<Result<StartReport>> Node::start() {
    StartReport report;
    KV_CO_CHECK(co_await directory_.open(reactor_, config_.node.data_dir, config_.node.id,
                                         config_.cluster.shards));
    report.created = directory_.created();
    report.boot = directory_.identity().boot;
    const Instant begun = reactor_.backend().now();
    FailureHandler& failures = *this;
    replicas_ = std::make_unique<ReplicaSet>(reactor_, replica_set_options(), failures);
    KV_CO_TRY(report.recovery, co_await replicas_->open());
    KV_CO_CHECK(co_await directory_.note_segment(reactor_, replicas_->log().current_segment()));
    report.recovery_time = reactor_.backend().now() - begun;
    report.keys = replicas_->keys();
    if (!report.recovery.cut_file.empty()) {
        log::info("cut the end of the log, which nothing proves to have been acknowledged",
                  log::field("file", report.recovery.cut_file),
                  log::field("offset", report.recovery.cut_offset),
                  log::field("reason", report.recovery.cut_reason));
    }
    ServerFacts facts;
    facts.store = directory_.identity().store;
    facts.node = config_.node.id;
    facts.data_dir = config_.node.data_dir;
    facts.backend = reactor_.backend().describe();
    facts.process_id = process_id_;
    server_ = std::make_unique<Server>(reactor_, config_, *replicas_, std::move(facts));
    KV_CO_CHECK(co_await server_->listen());
    co_return report;
}

io::Task<void> Node::stop() {
    if (server_) co_await server_->stop();
    if (replicas_) co_await replicas_->stop();
    co_await directory_.close();
}

void Node::on_storage_failed(const Error& error) noexcept {
    if (failure_) return;
    failure_ = error;
    log::critical(
        "the log has failed: nothing is acknowledged any more, ending the process; start it "
        "again once the disk is sound, and recovery will decide what holds",
        log::field("error", error.text()));
    reactor_.stop();
}

}  // namespace kv
